//! What people see of a score.

use strandwatch::core::detect::clutter::Clutter;
use strandwatch::core::detect::grid::Grid;
use strandwatch::core::types::{FailureMap, FrameScore, ScoredBox};
use strandwatch::vision::annotate::{self, NARROWEST, Notes, WIDEST};

use crate::support::models;

fn score(p: f32) -> FrameScore {
    let mut cells = vec![0.0; 400];
    cells[7 * 20 + 12] = p;
    FrameScore {
        score: p,
        boxes: vec![ScoredBox { x0: 0.5, y0: 0.3, x1: 0.7, y1: 0.5, p }],
        map: FailureMap { columns: 20, rows: 20, content: [0.0, 0.0, 1.0, 1.0], cells },
        infer_ms: 1.0,
        view: None,
        brightness: None,
    }
}

const NOTES: Notes = Notes { caption: "voron cam0 14:32:05", alert_point: 0.6, clutter: None };

#[test]
fn the_frame_is_changed_where_something_was_seen_and_only_there() {
    let frame = models::picture(640, 480, [0.0; 4]);
    let drawn = annotate::annotate(&frame, &score(0.9), &NOTES).unwrap();
    assert_eq!((drawn.width(), drawn.height() > 480), (640, true));
    let grey = image::Rgb([90, 90, 90]);
    assert_eq!(drawn.get_pixel(40, 400), &grey);
    assert_eq!(drawn.get_pixel(600, 30), &grey);
    // The hot cell's centre is tinted red.
    let hot = drawn.get_pixel(400, 180);
    assert!(hot[0] > 120 && hot[2] < 90, "{hot:?}");
    // The box's left edge is drawn.
    let edge: Vec<_> = (312..328).map(|x| drawn.get_pixel(x, 200)).collect();
    assert!(edge.iter().any(|pixel| pixel[0] > 200), "{edge:?}");
}

#[test]
fn what_is_known_to_be_clutter_is_tinted_and_what_is_clean_is_not() {
    let grid = Grid { model: "m".into(), columns: 2, rows: 1, content: [0.0, 0.0, 1.0, 1.0] };
    // Log-odds in hundredths: a cable on the left, nothing on the right.
    let log_odds = vec![300, -400];
    let clutter = Clutter { grid, log_odds, seconds: 36_000.0, prints: 3, ..Clutter::default() };
    let frame = models::picture(640, 480, [0.0; 4]);
    let notes = Notes { clutter: Some(&clutter), ..NOTES };
    let drawn = annotate::annotate(&frame, &score(0.0), &notes).unwrap();
    let left = drawn.get_pixel(100, 240);
    assert!(left[2] > 110 && left[2] > left[1] + 20, "violet: {left:?}");
    assert_eq!(drawn.get_pixel(540, 400), &image::Rgb([90, 90, 90]));
}

#[test]
fn the_footer_tells_calm_from_alarm() {
    let frame = models::picture(640, 480, [0.0; 4]);
    let reddest = |p: f32| {
        let drawn = annotate::annotate(&frame, &score(p), &NOTES).unwrap();
        let footer = drawn.enumerate_pixels().filter(|(_, y, _)| *y >= 480);
        footer.filter(|(_, _, p)| p[0] > 200 && p[1] < 100).count()
    };
    assert_eq!(reddest(0.2), 0);
    assert!(reddest(0.7) > 100);
}

#[test]
fn tiny_huge_and_odd_frames_are_drawn_at_a_size_that_can_be_read() {
    for (width, height) in [(1, 1), (64, 48), (333, 517), (1920, 1080), (4000, 50)] {
        let frame = models::picture(width, height, [0.0; 4]);
        let drawn = annotate::annotate(&frame, &score(1.0), &NOTES).unwrap();
        assert!((NARROWEST..=WIDEST).contains(&drawn.width()), "{width}x{height}");
        assert!(annotate::jpeg(&drawn).unwrap().starts_with(&[0xff, 0xd8]));
    }
}

#[test]
fn captions_of_any_length_and_script_are_no_trouble() {
    let frame = models::picture(480, 360, [0.0; 4]);
    let long = "printer ".repeat(40);
    for caption in ["", "Drücker Ω", &long] {
        let notes = Notes { caption, alert_point: 2.0, clutter: None };
        assert!(annotate::annotate(&frame, &score(0.4), &notes).is_ok());
    }
}

#[test]
fn a_frame_that_is_no_picture_is_refused() {
    for (width, height, bytes) in [(0, 0, 0), (10, 10, 7)] {
        let broken = models::frame(width, height, vec![0; bytes]);
        assert!(annotate::annotate(&broken, &score(0.9), &NOTES).is_err());
    }
}
