// What hovering, choosing a path and zooming do; everything shown is in the page already.
(() => {
  "use strict";
  const panel = document.getElementById("panel");
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const make = (name, text, kind) => {
    const element = document.createElement(name);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  document.body.classList.add("wide");
  panel.hidden = !matchMedia("(min-width: 70rem)").matches;
  panel.append(make("p", "Point at an instruction: what is known before it stands here.", "dim"));

  // The state before an instruction, that of the marked path first.
  const show = (row) => {
    const close = make("button", "close");
    close.onclick = () => { panel.hidden = true; };
    const text = (row.querySelector("summary") || row).textContent.trim();
    const chosen = row.closest(".body").dataset.way || "0";
    const states = all(row, ".state").filter((state) => (state.dataset.way || chosen) === chosen);
    const copies = states.map((state) => state.cloneNode(true));
    if (!copies.length) copies.push(make("div", "No path reaches this instruction.", "state"));
    panel.replaceChildren(close, make("pre", text), ...copies);
    panel.dataset.row = row.id;
    panel.hidden = false;
  };

  // What belongs together: instruction, block, source line.
  let marked = [];
  const mark = (elements) => {
    marked.forEach((element) => element.classList.remove("hover"));
    marked = elements;
    marked.forEach((element) => element.classList.add("hover"));
  };
  const rowsOf = (body, from, to) => {
    const rows = [];
    for (let at = from; at <= to; at += 1) {
      const row = document.getElementById(`p${body.dataset.program}i${at}`);
      if (row) rows.push(row);
    }
    return rows;
  };
  const byLine = (body, line) =>
    all(body, "[data-line]").filter((element) => element.dataset.line === line);
  const blockOf = (body, at) =>
    all(body, "a.block").filter((block) => +block.dataset.from <= at && at <= +block.dataset.to);
  const point = (target) => {
    const body = target.closest && target.closest(".body");
    if (!body) return;
    const link = target.closest("a.go");
    const row = target.closest(".insn") || (link && document.querySelector(link.hash));
    const block = target.closest("a.block");
    const line = target.closest(".line[data-line], .above");
    if (row && row.matches(".insn")) {
      const at = +row.dataset.at;
      const lines = row.dataset.line ? byLine(body, row.dataset.line) : [];
      const sources = lines.filter((element) => !element.matches(".insn"));
      mark([row, ...blockOf(body, at), ...sources]);
      show(row);
    } else if (block) {
      const { from, to } = block.dataset;
      const edges = all(body, "path.edge").filter(
        (edge) => edge.dataset.from === from || edge.dataset.to === from);
      mark([block, ...edges, ...rowsOf(body, +from, +to)]);
      const first = document.getElementById(`p${body.dataset.program}i${from}`);
      if (first) show(first);
    } else if (line) {
      const same = byLine(body, line.dataset.line);
      const blocks = same.filter((element) => element.matches(".insn"))
        .flatMap((element) => blockOf(body, +element.dataset.at));
      mark([...same, ...blocks]);
    }
  };
  document.addEventListener("mouseover", (event) => point(event.target));
  document.addEventListener("focusin", (event) => point(event.target));

  // A link to something folded away unfolds it.
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let up = target; up; up = up.parentElement) if (up.matches("details")) up.open = true;
    target.scrollIntoView({ block: "center" });
    const row = target.matches(".insn") ? target : target.querySelector(".insn.error");
    if (row) point(row);
  };
  addEventListener("hashchange", reveal);

  // One of several paths.
  const choose = (body, way) => {
    body.dataset.way = way;
    all(body, "[data-ways]").forEach((element) => {
      element.classList.toggle("on", element.dataset.ways.split(" ").includes(way));
    });
    all(body, ".problem button").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.closest(".problem").dataset.way === way));
    });
  };
  for (const body of document.querySelectorAll(".body[data-program]")) {
    const problems = all(body, ".problem");
    if (problems.length < 2) continue;
    for (const problem of problems) {
      const button = make("button", "mark the path to this problem");
      button.onclick = () => choose(body, problem.dataset.way);
      problem.append(button);
    }
    choose(body, "0");
  }

  // Zoom and pan of a graph.
  for (const graph of document.querySelectorAll(".graph")) {
    const svg = graph.querySelector("svg");
    const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
    let scale = 1;
    const zoom = (to, x = graph.clientWidth / 2, y = graph.clientHeight / 2) => {
      const before = scale;
      scale = Math.min(4, Math.max(0.1, to));
      svg.setAttribute("width", width * scale);
      svg.setAttribute("height", height * scale);
      graph.scrollLeft = (graph.scrollLeft + x) * scale / before - x;
      graph.scrollTop = (graph.scrollTop + y) * scale / before - y;
    };
    const fit = () => zoom(Math.min(1, graph.clientWidth / width));
    const centre = () => {
      const rect = graph.querySelector(".error rect");
      if (!rect) return;
      const [x, y] = [rect.x.baseVal.value * scale, rect.y.baseVal.value * scale];
      graph.scrollTo(x - graph.clientWidth / 2, y - graph.clientHeight / 2);
    };
    const tools = graph.previousElementSibling;
    for (const [label, act] of [["+", () => zoom(scale * 1.25)], ["\u2212", () => zoom(scale / 1.25)],
      ["fit", fit], ["1:1", () => zoom(1)], ["problem", centre]]) {
      if (label === "problem" && !graph.querySelector(".error rect")) continue;
      const button = make("button", label);
      button.onclick = act;
      tools.append(button, " ");
    }
    graph.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const box = graph.getBoundingClientRect();
      zoom(scale * (event.deltaY < 0 ? 1.15 : 1 / 1.15), event.clientX - box.x, event.clientY - box.y);
    }, { passive: false });
    let drag = null;
    graph.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0)
        drag = { x: event.clientX, y: event.clientY, left: graph.scrollLeft, top: graph.scrollTop, far: false };
    });
    addEventListener("pointermove", (event) => {
      if (!drag) return;
      const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
      drag.far = drag.far || Math.hypot(x, y) > 5;
      if (drag.far) graph.classList.add("moving");
      if (drag.far) graph.scrollTo(drag.left - x, drag.top - y);
    });
    addEventListener("pointerup", () => {
      graph.classList.remove("moving");
      setTimeout(() => { drag = null; });
    });
    graph.addEventListener("click", (event) => { if (drag && drag.far) event.preventDefault(); }, true);
    graph.addEventListener("dragstart", (event) => event.preventDefault());
    // Graphs in folded programs have no size yet.
    let isPlaced = false;
    const start = () => {
      if (isPlaced || !graph.clientWidth) return;
      isPlaced = true;
      zoom(Math.max(0.6, Math.min(1, graph.clientWidth / width)));
      graph.scrollTop = 0;
      centre();
    };
    document.addEventListener("toggle", start, true);
    start();
  }
  // Before anything is pointed at: the first problem.
  const first = document.querySelector(".insn.error");
  if (first && !panel.hidden) point(first);
  reveal();
})();
