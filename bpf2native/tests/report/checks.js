// Checks a report in the frames of a page: `FRAMES` holds {width, file}, `DARK` says which colours
// are asked for. The reports write what they complain about to `wrong` themselves (see report.rs). What is wrong is written to #wrong, how much was looked at to #seen.
"use strict";
const wrong = [];
const seen = { links: 0, rows: 0, blocks: 0, texts: 0, programs: 0, paths: 0 };
const check = (is, what) => { if (!is) wrong.push(what); };

const luminance = (colour) => {
  const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const run = async (name, win) => {
  const doc = win.document;
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const say = (what) => `${name}: ${what}`;
  const over = (element) => {
    element.dispatchEvent(new win.MouseEvent("mouseover", { bubbles: true }));
  };
  const panel = doc.getElementById("panel");
  const isFlat = (when) => {
    const wide = doc.documentElement.scrollWidth;
    check(wide <= win.innerWidth, say(`${wide} px wide in ${win.innerWidth} ${when}`));
  };
  isFlat("at first");

  // Refused programs first, with the first path marked.
  const programs = all(doc, "details.program");
  seen.programs += programs.length;
  const words = programs.map((one) => one.querySelector("h2 span").className);
  check(words[0] === "rejected", say("the first program is not a rejected one"));
  check(words.join().lastIndexOf("rejected") < words.join().concat(",accepted").indexOf("accepted"),
    say("an accepted program stands before a rejected one"));
  const first = programs[0];
  check(first.open && all(first, ".problem").length > 0, say("no problem is shown first"));
  for (const what of [".insn.on", "a.block.on", ".line.on", ".insn.error[open] .state"]) {
    check(all(first, what).length > 0, say(`no ${what} in the first program`));
  }
  check(all(doc, "path.edge.on").length > 0, say("no path is marked in a graph"));

  // Every link leads somewhere in the page.
  for (const link of all(doc, "a[href]")) {
    const hash = link.getAttribute("href");
    seen.links += 1;
    check(hash[0] === "#" && doc.getElementById(hash.slice(1)), say(`a link leads to ${hash}`));
  }

  // Instructions, blocks and source lines point at each other.
  for (const body of all(doc, ".body[data-program]")) {
    body.parentElement.open = true;
    all(body, "details").forEach((part) => { if (!part.matches(".insn")) part.open = true; });
    const where = body.parentElement.querySelector("h2").textContent;
    check(all(body, "svg a.block").length > 0, say(`${where}: no graph`));
    for (const row of all(body, ".insn")) {
      over(row.querySelector("summary") || row);
      seen.rows += 1;
      const text = row.textContent.trim().split("\n")[0];
      check(panel.textContent.includes(text.slice(0, 20)), say(`${where}: ${text} is not shown`));
      const is_told = row.matches(".dead") || all(panel, ".state").length > 0;
      check(is_told, say(`${where}: no state of ${text}`));
      const blocks = all(body, "a.block.hover");
      const at = Number(row.dataset.at);
      const isIn = blocks.length === 1 && +blocks[0].dataset.from <= at && at <= +blocks[0].dataset.to;
      check(isIn, say(`${where}: block of ${text}`));
      if (row.dataset.line) {
        check(all(body, ".line.hover").length > 0, say(`${where}: source of ${text}`));
      }
    }
    for (const block of all(body, "a.block")) {
      over(block);
      seen.blocks += 1;
      const rows = all(body, ".insn.hover").map((row) => +row.dataset.at);
      const isAll = rows.length > 0 && rows[0] === +block.dataset.from
        && rows.every((at) => at <= +block.dataset.to);
      check(isAll, say(`${where}: rows of block ${block.dataset.from}`));
    }
    for (const line of all(body, ".source .line")) {
      over(line);
      check(all(body, ".insn.hover").length > 0, say(`${where}: rows of ${line.textContent}`));
    }
    // Another path is marked when asked for.
    const buttons = all(body, ".problem button");
    check(buttons.length !== 1, say(`${where}: one button`));
    const onPath = () => all(body, ".insn.on").map((row) => row.id).join();
    const ways = buttons.map((button) => { button.click(); return onPath(); });
    seen.paths += ways.length;
    check(new Set(ways).size === ways.length, say(`${where}: different paths look alike`));
    if (buttons.length) buttons[0].click();
  }
  isFlat("with everything unfolded");

  // A link unfolds what it leads to.
  const link = first.querySelector(".problem a.go");
  first.open = false;
  link.click();
  await pause(200);
  check(first.open, say("a link into a folded program does not unfold it"));
  check(doc.querySelector(link.hash).matches(":target"), say("the target is not marked"));

  // Graphs zoom inside their box.
  for (const graph of all(doc, ".graph")) {
    const svg = graph.querySelector("svg");
    const [plus, , fit] = all(graph.previousElementSibling, "button");
    const before = svg.getBoundingClientRect().width;
    for (let times = 0; times < 20; times += 1) plus.click();
    check(svg.getBoundingClientRect().width > before, say("a graph does not grow"));
    check(graph.scrollWidth >= graph.clientWidth, say("a large graph does not scroll"));
    isFlat("with a large graph");
    fit.click();
    check(graph.scrollWidth <= graph.clientWidth + 1, say("a fitted graph scrolls"));
  }

  // Readable in these colours.
  const style = (element) => win.getComputedStyle(element);
  const background = (element) => {
    for (let up = element; up; up = up.parentElement) {
      const colour = style(up).backgroundColor;
      if (!/, 0\)$/.test(colour)) return colour;
    }
    return style(doc.body).backgroundColor;
  };
  check(win.matchMedia("(prefers-color-scheme: dark)").matches === DARK, say("other colours"));
  check((luminance(style(doc.body).backgroundColor) < 0.2) === DARK, say("background"));
  for (const element of all(doc, "main *:not(svg *):not(svg), #panel, #panel *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !element.getClientRects().length) continue;
    seen.texts += 1;
    const ratio = contrast(style(element).color, background(element));
    check(ratio >= 4.5, say(`${element.tagName}.${element.className}: contrast ${ratio}`));
  }
  for (const text of all(doc, "svg text")) {
    const rect = text.parentElement.querySelector("rect");
    const ratio = contrast(style(text).fill, style(rect).fill);
    check(ratio >= 4.5, say(`a block's text: contrast ${ratio}`));
  }
  const loaded = win.performance.getEntriesByType("resource").map((entry) => entry.name);
  check(loaded.length === 0, say(`loaded ${loaded}`));
};

let open = FRAMES.length;
const done = () => {
  const put = (id, text) => {
    const element = document.createElement("pre");
    element.id = id;
    element.textContent = text;
    document.body.append(element);
  };
  put("seen", JSON.stringify(seen));
  put("wrong", [...new Set(wrong)].slice(0, 40).join("\n"));
  put("done", "done");
};
window.wrong = wrong;
for (const { width, file } of FRAMES) {
  const name = `${width} px`;
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 800px; border: 0`;
  frame.src = file;
  frame.onload = async () => {
    await pause(500);
    await run(name, frame.contentWindow).catch((error) => wrong.push(`${name}: ${error.stack}`));
    open -= 1;
    if (!open) done();
  };
  document.body.append(frame);
}
