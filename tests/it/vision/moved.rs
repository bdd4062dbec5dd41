//! Whether the camera still looks at the same: on rendered prints, where the head, the bed's part and the light change.

use image::RgbImage;
use strandwatch::core::detect::view::ViewReference;
use strandwatch::ports::Frame;
use strandwatch::sim::scene::{Passer, SceneState, render};
use strandwatch::vision::view::signature;

use crate::support::models;

/// What is seen through a window of the picture that is moved by so many px.
fn through(state: &SceneState, (dx, dy): (u32, u32)) -> Frame {
    let picture = render(state);
    let (width, height) = (picture.width() - 80, picture.height() - 60);
    let window: RgbImage = image::imageops::crop_imm(&picture, dx, dy, width, height).to_image();
    models::frame(width, height, window.into_raw())
}

/// Frame `n` of `of` of a print.
fn moment(seed: u64, n: u64, of: u64) -> SceneState {
    let part = n as f32 / of as f32;
    SceneState {
        seed,
        progress: part,
        nozzle: [20.0 + (n * 67 % 180) as f32, 20.0 + (n * 41 % 180) as f32],
        frame: n,
        size: (640, 480),
        // The lamp dims and brightens, now and then for long.
        light: if n % 20 < 15 { 1.0 } else { 0.7 },
        passer: n.is_multiple_of(13).then_some(Passer { at: part, reaching: n.is_multiple_of(26) }),
        ..SceneState::default()
    }
}

#[test]
fn a_print_from_beginning_to_end_is_one_view_and_a_pushed_camera_another() {
    for seed in 1..=3 {
        let mut reference = ViewReference::default();
        for n in 0..30 {
            let view = signature(&through(&moment(seed, n, 30), (0, 0))).unwrap();
            assert!(!reference.moves_to(&view, true), "seed {seed}, frame {n}");
        }
        // The next print begins: the part is gone.
        for n in 0..5 {
            let view = signature(&through(&moment(seed, n, 30), (0, 0))).unwrap();
            assert!(!reference.moves_to(&view, true), "seed {seed}, next print, frame {n}");
        }
        let moved = (0..6).any(|n| {
            let view = signature(&through(&moment(seed, n, 30), (40, 30))).unwrap();
            reference.moves_to(&view, true)
        });
        assert!(moved, "seed {seed}: a push by a fourteenth of the picture is noticed");
    }
}
