//! The picture: datagrams per second over time, and which questions were answered.

use super::measure::Sample;
use super::probe::Question;
use super::process::{is_installed, run};
use super::story::Phase;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::{Path, PathBuf};

const SIZE: (u32, u32) = (960, 480);
const FLOOD: RGBColor = RGBColor(0x1f, 0x6f, 0xb5);
const ANSWERED: RGBColor = RGBColor(0x2a, 0x8a, 0x3c);
const LOST: RGBColor = RGBColor(0xc6, 0x28, 0x28);
const QUIET: RGBColor = RGBColor(0x66, 0x66, 0x66);

/// What is drawn.
pub(crate) struct Data<'a> {
    pub(crate) samples: &'a [Sample],
    pub(crate) questions: &'a [Question],
    pub(crate) phases: &'a [Phase],
}

impl Data<'_> {
    /// Datagrams per second, in the middle of each step.
    fn rates(&self) -> Vec<(f64, f64)> {
        let steps = self.samples.windows(2);
        let rate = |pair: &[Sample]| {
            let time = (pair[1].at - pair[0].at).as_secs_f64();
            let received = pair[1].received.saturating_sub(pair[0].received);
            (
                pair[0].at.as_secs_f64() + time / 2.0,
                received as f64 / time,
            )
        };
        steps.map(rate).collect()
    }
}

/// Writes the picture as SVG.
pub(crate) fn svg(path: &Path, data: &Data<'_>) -> Result<(), String> {
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let rates = data.rates();
        let end = data
            .phases
            .last()
            .map_or(1.0, |phase| phase.to.as_secs_f64());
        let top = rates.iter().map(|(_, rate)| *rate).fold(10.0, f64::max) * 1.2;
        let mut chart = ChartBuilder::on(&root)
            .caption(
                "UDP datagrams per second at the name server",
                ("sans-serif", 20),
            )
            .margin(16)
            .x_label_area_size(36)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..end, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("seconds (dots: a client's questions, red ones are lost)")
            .y_label_formatter(&|rate| thousands(*rate))
            .draw()?;
        chart.draw_series(AreaSeries::new(rates, 0.0, FLOOD.mix(0.25)).border_style(FLOOD))?;
        for phase in data.phases {
            let from = phase.shown.as_secs_f64();
            let line = [(from, 0.0), (from, top)];
            chart.draw_series([PathElement::new(line, QUIET.mix(0.6))])?;
            let style = ("sans-serif", 14).into_font().color(&BLACK);
            let style = style.pos(Pos::new(HPos::Left, VPos::Top));
            chart.draw_series([Text::new(
                phase.name.clone(),
                (from + end / 150.0, top),
                style,
            )])?;
        }
        // Lost ones last, on top of the others.
        let (answered, lost): (Vec<&Question>, Vec<&Question>) = data
            .questions
            .iter()
            .partition(|question| question.answered.is_some());
        let dots = answered.iter().map(|dot| (dot, ANSWERED, 3));
        let dots = dots.chain(lost.iter().map(|dot| (dot, LOST, 4)));
        let dots = dots.map(|(question, colour, size)| {
            Circle::new(
                (question.at.as_secs_f64(), top * 0.9),
                size,
                colour.filled(),
            )
        });
        chart.draw_series(dots)?;
        root.present()?;
        Ok(())
    };
    draw().map_err(|error| format!("{}: {error}", path.display()))
}

/// `200 k`.
fn thousands(rate: f64) -> String {
    if rate < 1000.0 {
        return format!("{rate:.0}");
    }
    format!("{:.0} k", rate / 1000.0)
}

/// Writes the picture as PNG beside the SVG, by a browser; without one there is none.
pub(crate) fn png(svg: &Path) -> Result<Option<PathBuf>, String> {
    let path = svg.with_extension("png");
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let Some(browser) = browsers.into_iter().find(|name| is_installed(name)) else {
        return Ok(None);
    };
    let svg = svg.canonicalize();
    let svg = svg.map_err(|error| format!("{}: {error}", path.display()))?;
    run(&[
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        &format!("--window-size={},{}", SIZE.0, SIZE.1),
        &format!("--screenshot={}", path.display()),
        &format!("file://{}", svg.display()),
    ])?;
    Ok(Some(path))
}
