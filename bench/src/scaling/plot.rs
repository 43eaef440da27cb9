//! A picture of lines with two logarithmic axes, as SVG text.
//!
//! What is left out: everything that this one picture does not need (other scales, units, overlap of
//! labels at the end of lines beyond moving them apart).

use std::fmt::Write;
use std::ops::Range;

/// One line.
pub(crate) struct Line {
    /// Its label.
    pub(crate) name: &'static str,
    /// What was measured.
    pub(crate) points: Vec<Point>,
}

/// One measured program.
pub(crate) struct Point {
    /// Its size in instruction slots.
    pub(crate) slots: f64,
    /// How long its verification took.
    pub(crate) millis: f64,
    /// Whether it was accepted.
    pub(crate) accepted: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Distance between labels.
const LABEL: f64 = 15.0;
/// Colours that people with any colour vision can tell apart (Okabe and Ito).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];

/// Powers of ten from one end of an axis to the other, and where they lie in the picture.
struct Axis {
    powers: Range<i32>,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis for these values between two places in the picture.
    fn of(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Axis {
        let logarithms = values.filter(|value| *value > 0.0).map(f64::log10);
        let least = logarithms.clone().fold(f64::INFINITY, f64::min);
        let most = logarithms.fold(f64::NEG_INFINITY, f64::max);
        let powers = if least <= most {
            least.floor() as i32..(most.ceil() as i32).max(least.floor() as i32 + 1)
        } else {
            0..1
        };
        Axis { powers, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let (start, end) = (f64::from(self.powers.start), f64::from(self.powers.end));
        let part = (value.max(f64::MIN_POSITIVE).log10() - start) / (end - start);
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.powers.start..=self.powers.end).map(|power| 10f64.powi(power))
    }
}

/// The picture.
pub(crate) fn svg(lines: &[Line]) -> String {
    let points = lines.iter().flat_map(|line| line.points.iter());
    let x = Axis::of(points.clone().map(|point| point.slots), LEFT, WIDTH - RIGHT);
    let y = Axis::of(points.map(|point| point.millis), HEIGHT - BOTTOM, TOP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    label(
        &mut text,
        (LEFT, 22.0, "start"),
        "Time to verify, by size of the program",
    );
    grid(&mut text, &x, &y);
    let mut free = f64::NEG_INFINITY;
    for (line, place) in labels(lines, &y) {
        let colour = COLOURS[lines
            .iter()
            .position(|other| other.name == line.name)
            .unwrap_or(0)
            % COLOURS.len()];
        free = place.max(free + LABEL);
        draw(&mut text, line, colour, (&x, &y));
        let _ = writeln!(text, "<g fill=\"{colour}\">");
        label(
            &mut text,
            (WIDTH - RIGHT + 8.0, free + 4.0, "start"),
            line.name,
        );
        text.push_str("</g>\n");
    }
    text.push_str("</svg>\n");
    text
}

/// The lines from the top down, each with where it ends.
fn labels<'a>(lines: &'a [Line], y: &Axis) -> Vec<(&'a Line, f64)> {
    let mut ends: Vec<(&Line, f64)> = lines
        .iter()
        .filter_map(|line| Some((line, y.place(line.points.last()?.millis))))
        .collect();
    ends.sort_by(|one, other| one.1.total_cmp(&other.1));
    ends
}

fn grid(text: &mut String, x: &Axis, y: &Axis) {
    for value in x.ticks() {
        let at = x.place(value);
        rule(text, (at, y.from), (at, y.to));
        label(text, (at, y.from + 18.0, "middle"), &number(value));
    }
    for value in y.ticks() {
        let at = y.place(value);
        rule(text, (x.from, at), (x.to, at));
        label(
            text,
            (x.from - 8.0, at + 4.0, "end"),
            &format!("{} ms", number(value)),
        );
    }
    label(text, (x.to, y.from + 36.0, "end"), "instruction slots");
}

fn number(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{} M", value / 1e6),
        _ if value >= 1e3 => format!("{} k", value / 1e3),
        _ => format!("{value}"),
    }
}

fn rule(text: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        text,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn draw(text: &mut String, line: &Line, colour: &str, (x, y): (&Axis, &Axis)) {
    let place = |point: &Point| (x.place(point.slots), y.place(point.millis));
    let text_of = |point| {
        let (x, y) = place(point);
        format!("{x:.1},{y:.1}")
    };
    let points: Vec<String> = line.points.iter().map(text_of).collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        points.join(" ")
    );
    for point in &line.points {
        let (x, y) = place(point);
        let fill = if point.accepted { colour } else { "white" };
        let _ = writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{fill}\" stroke=\"{colour}\"/>"
        );
    }
}

fn label(text: &mut String, (x, y, anchor): (f64, f64, &str), content: &str) {
    let _ = writeln!(
        text,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"
    );
}
