//! Two panels: how many failures were found by when, and how many alerts were wrong.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Report;
use super::contest::Entry;
use crate::cli::replay::rule_word;
use crate::core::detect::Rule;

const SIZE: (u32, u32) = (1240, 520);
const MINUTES: f64 = 60.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The whole plot as SVG.
pub(super) fn draw(report: &Report) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        panels(&root, report).map_err(|error| anyhow!("cannot draw the plot: {error}"))?;
    }
    Ok(svg)
}

fn panels(root: &Area, report: &Report) -> Drawn {
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(620);
    found(&left, report)?;
    wrong(&right, report)?;
    root.present()?;
    Ok(())
}

fn colour(rule: Rule, nth: usize) -> RGBAColor {
    let base = match rule {
        Rule::Evidence => RGBColor(200, 60, 50),
        Rule::Tsd => RGBColor(50, 90, 170),
        Rule::Consecutive => RGBColor(60, 140, 70),
    };
    base.mix(1.0 - 0.22 * nth as f64)
}

/// Each entry with how many of its rule came before it.
fn numbered(entries: &[Entry]) -> impl Iterator<Item = (usize, &Entry)> {
    entries.iter().enumerate().map(|(index, entry)| {
        (entries[..index].iter().filter(|before| before.rule == entry.rule).count(), entry)
    })
}

fn label(entry: &Entry) -> String {
    format!("{}, {}", rule_word(entry.rule), entry.setting)
}

fn found(area: &Area, report: &Report) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .caption("Failures found", ("sans-serif", 17))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..MINUTES, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("minutes since the failure began")
        .y_desc("share of failures alerted of")
        .draw()?;
    for (nth, entry) in numbered(&report.entries) {
        let mut delays: Vec<f64> = entry.delays_s.iter().flatten().map(|s| s / 60.0).collect();
        delays.sort_by(f64::total_cmp);
        let total = entry.delays_s.len().max(1) as f64;
        let mut steps = vec![(0.0, 0.0)];
        for (index, at) in delays.into_iter().enumerate() {
            steps.extend([(at, index as f64 / total), (at, (index + 1) as f64 / total)]);
        }
        steps.push((MINUTES, steps.last().map_or(0.0, |last| last.1)));
        let ink = colour(entry.rule, nth);
        chart
            .draw_series(LineSeries::new(steps, ink.stroke_width(2)))?
            .label(label(entry))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], ink.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}

fn wrong(area: &Area, report: &Report) -> Drawn {
    let highest = report
        .entries
        .iter()
        .map(|entry| entry.tally.false_alerts_per_100h.high)
        .fold(1.0, f64::max);
    let rows = report.entries.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption("Wrong alerts per 100 hours of good printing", ("sans-serif", 17))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(20)
        .build_cartesian_2d(0.0..highest * 1.05, 0.0..rows)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .light_line_style(TRANSPARENT)
        .x_desc("value and interval; the stroke across is what was asked for")
        .draw()?;
    for (row, (nth, entry)) in numbered(&report.entries).enumerate() {
        let (y, ink) = (rows - row as f64 - 0.6, colour(entry.rule, nth));
        let found = entry.tally.false_alerts_per_100h;
        chart.draw_series([PathElement::new(
            [(found.low, y), (found.high, y)],
            ink.stroke_width(3),
        )])?;
        chart.draw_series([Circle::new((found.value, y), 5, ink.filled())])?;
        chart.draw_series([Text::new(
            label(entry),
            (highest * 0.01, y + 0.38),
            ("sans-serif", 14),
        )])?;
        if let Some(asked) = entry.asked_per_100h {
            let stroke = [(asked, y - 0.18), (asked, y + 0.18)];
            chart.draw_series([PathElement::new(stroke, BLACK.stroke_width(1))])?;
        }
    }
    Ok(())
}
