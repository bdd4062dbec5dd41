//! A recording over time: phases below, scores, and each rule's statistic against what alerting and acting take.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Recording, rule_word};
use crate::app::judge::Judged;
use crate::core::print::{Frames, Phase};

const WIDTH: u32 = 1_240;
const PANEL: u32 = 300;
const SCORE: RGBColor = RGBColor(150, 150, 150);
const EVIDENCE: RGBColor = RGBColor(200, 60, 50);
const ALERT: RGBColor = RGBColor(230, 150, 30);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// One panel a rule, as SVG.
pub(super) fn draw(recording: &Recording) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let size = (WIDTH, PANEL * recording.judged.len().max(1) as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        panels(&root, recording).map_err(|error| anyhow!("cannot draw the plot: {error}"))?;
    }
    Ok(svg)
}

fn panels(root: &Area, recording: &Recording) -> Drawn {
    root.fill(&WHITE)?;
    let areas = root.split_evenly((recording.judged.len().max(1), 1));
    for (area, judged) in areas.iter().zip(&recording.judged) {
        let name = recording.path.file_name().unwrap_or_default().to_string_lossy();
        panel(area, judged, &format!("{}: {name}", rule_word(judged.rule)))?;
    }
    root.present()?;
    Ok(())
}

fn shade(phase: Phase) -> RGBColor {
    match phase.frames() {
        _ if phase == Phase::Idle => RGBColor(255, 255, 255),
        Frames::Unwanted => RGBColor(250, 225, 160),
        Frames::Evidence => RGBColor(215, 240, 215),
        Frames::Background | Frames::Seen => RGBColor(215, 225, 245),
    }
}

fn panel(area: &Area, judged: &Judged, title: &str) -> Drawn {
    let end = judged.moments.last().map_or(1.0, |last| last.at_s / 60.0).max(0.1);
    let highest = judged.moments.iter().map(|moment| moment.evidence).fold(1.0, f64::max) * 1.08;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..end, 0.0..highest)?;
    let spans = judged.moments.windows(2).map(|pair| {
        let corners = [(pair[0].at_s / 60.0, 0.0), (pair[1].at_s / 60.0, highest)];
        Rectangle::new(corners, shade(pair[0].phase).mix(0.6).filled())
    });
    chart.draw_series(spans)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("minutes; green where frames count, yellow paused")
        .draw()?;
    let scores = judged.moments.iter().filter_map(|m| Some((m.at_s / 60.0, m.score?)));
    chart
        .draw_series(LineSeries::new(scores, SCORE.stroke_width(1)))?
        .label("score")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], SCORE.stroke_width(2)));
    let evidence = judged.moments.iter().map(|m| (m.at_s / 60.0, m.evidence));
    chart
        .draw_series(LineSeries::new(evidence, EVIDENCE.stroke_width(2)))?
        .label("evidence, 1 acts")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], EVIDENCE.stroke_width(2)));
    for (level, ink) in [(Some(1.0), EVIDENCE), (judged.alert_at, ALERT)] {
        if let Some(level) = level {
            let line = [(0.0, level), (end, level)];
            chart.draw_series([PathElement::new(line, ink.mix(0.5).stroke_width(1))])?;
        }
    }
    for happening in &judged.happenings {
        if matches!(
            happening.what,
            "suspect" | "alert" | "acting" | "paused" | "dismissed" | "blind"
        ) {
            let at = happening.at_s / 60.0;
            let ink = if happening.what == "alert" { ALERT } else { BLACK };
            let line = [(at, 0.0), (at, highest)];
            chart.draw_series([PathElement::new(line, ink.mix(0.6).stroke_width(1))])?;
            let text = Text::new(happening.what, (at, highest * 0.97), ("sans-serif", 11));
            chart.draw_series([text])?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
