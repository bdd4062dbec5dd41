//! ROC and reliability as one SVG.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::Scored;
use super::metrics::{Ranking, Reliability};
use super::report::Report;

const SIZE: (u32, u32) = (1380, 480);
const INK: RGBColor = RGBColor(200, 60, 50);
const GUIDE: RGBColor = RGBColor(150, 150, 150);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Three panels: the whole ROC, its part at few false alarms, and the reliability diagram.
pub(super) fn draw(report: &Report, scored: &[Scored]) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        panels(&root, report, scored).map_err(|error| anyhow!("cannot draw the plot: {error}"))?;
    }
    Ok(svg)
}

fn panels(
    root: &Area,
    report: &Report,
    scored: &[Scored],
) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let samples: Vec<_> = scored.iter().map(Scored::sample).collect();
    let curve = Ranking::new(&samples).curve();
    let areas = root.split_evenly((1, 3));
    let [whole, start, calibration] = areas.as_slice() else { return Ok(()) };
    let auroc = report.all.auroc.map_or("-".to_owned(), |found| format!("{:.4}", found.value));
    roc(whole, &format!("ROC of {} (AUROC {auroc})", report.model), &curve, 1.0)?;
    roc(start, "ROC at few false alarms", &curve, 0.05)?;
    if let Some(found) = &report.calibration {
        reliability(calibration, found)?;
    }
    root.present()?;
    Ok(())
}

fn roc(
    area: &Area,
    title: &str,
    curve: &[(f64, f64)],
    most: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..most, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(6)
        .y_labels(6)
        .x_desc("share of good pictures that alarm")
        .y_desc("share of failing pictures found")
        .draw()?;
    // Cut at the panel's edge.
    let inside: Vec<(f64, f64)> = curve.iter().map(|(x, y)| (x.min(most), *y)).collect();
    let end = inside.iter().position(|(x, _)| *x >= most).map_or(inside.len(), |i| i + 1);
    chart.draw_series(LineSeries::new(inside[..end].iter().copied(), INK.stroke_width(2)))?;
    Ok(())
}

fn reliability(area: &Area, found: &Reliability) -> Result<(), Box<dyn std::error::Error>> {
    let title = format!("Reliability (expected error {:.3})", found.expected_error);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(6)
        .y_labels(6)
        .x_desc("probability that was said")
        .y_desc("share that was failing")
        .draw()?;
    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], GUIDE.stroke_width(1)))?;
    let points = || found.bins.iter().map(|bin| (bin.said, bin.was));
    chart.draw_series(LineSeries::new(points(), INK.stroke_width(2)))?;
    // A dot's area grows with the weight of its bin.
    let dots = found.bins.iter().map(|bin| {
        let radius = 3.0 + 12.0 * bin.weight.sqrt();
        Circle::new((bin.said, bin.was), radius as i32, INK.mix(0.6).filled())
    });
    chart.draw_series(dots)?;
    Ok(())
}
