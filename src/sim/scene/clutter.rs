//! What is in view and no failure: things that lie about, and people.

use std::f32::consts::TAU;

use super::brush::Brush;
use super::chance::Chance;
use super::view::{Canvas, Colour, Point, mix, paint, shade};
use super::{Clutter, Passer};

/// Draws what lies beside the print, the same in every frame of a seed.
pub(super) fn draw(canvas: &mut Canvas, seed: u64, clutter: Clutter) {
    let mut chance = Chance::new(seed, 3);
    match clutter {
        Clutter::None => {}
        Clutter::Cables => {
            let grey = chance.between(0.05, 0.3);
            let colour = mix([grey, grey, grey * 1.1], [0.7, 0.68, 0.62], chance.between(0.0, 0.6));
            let at = [chance.between(-18.0, 22.0), chance.between(8.0, 60.0)];
            loops(canvas, &mut chance, at, colour);
        }
        Clutter::PurgedFilament => {
            let colour: Colour = std::array::from_fn(|_| chance.between(0.15, 0.9));
            let at = [chance.between(196.0, 212.0), chance.between(6.0, 40.0)];
            pile(canvas, &mut chance, at, colour);
        }
    }
}

/// A cable wound up.
fn loops(canvas: &mut Canvas, chance: &mut Chance, [x, y]: [f32; 2], colour: Colour) {
    let mut brush = Brush::new(canvas);
    for _ in 0..4 {
        let (radius, flat) = (chance.between(14.0, 24.0), chance.between(0.6, 1.0));
        let (from, turns) = (chance.between(0.0, TAU), chance.between(0.8, 1.4));
        let (x, y) = (x + chance.between(-5.0, 5.0), y + chance.between(-5.0, 5.0));
        let at = |part: f32| -> Point {
            let angle = from + TAU * turns * part;
            [x + radius * angle.cos(), y + radius * flat * angle.sin(), 2.0 + 5.0 * part]
        };
        for step in 0..48 {
            let (from, to) = (step as f32 / 48.0, (step + 1) as f32 / 48.0);
            brush.stroke(at(from), at(to), 3.2, colour);
        }
    }
}

/// What a printer wipes off its nozzle.
fn pile(canvas: &mut Canvas, chance: &mut Chance, [x, y]: [f32; 2], colour: Colour) {
    let mut brush = Brush::new(canvas);
    for _ in 0..12 {
        let mut at: Point =
            [x + 9.0 * chance.bell(), y + 9.0 * chance.bell(), chance.between(0.5, 9.0)];
        let (mut heading, bend) = (chance.between(0.0, TAU), chance.between(-0.5, 0.5));
        let tint = shade(colour, chance.between(0.7, 1.15));
        for _ in 0..chance.between(14.0, 40.0) as usize {
            heading += bend + 0.12 * chance.bell();
            let home = [x - at[0], y - at[1]].map(|away| 0.06 * away);
            let next = [
                at[0] + 1.5 * heading.cos() + home[0],
                at[1] + 1.5 * heading.sin() + home[1],
                (at[2] + 0.4 * chance.bell()).clamp(0.5, 14.0),
            ];
            brush.stroke(at, next, 1.2, tint);
            at = next;
        }
    }
}

/// Draws somebody behind the printer.
pub(super) fn draw_passer(canvas: &mut Canvas, seed: u64, passer: Passer) {
    let mut chance = Chance::new(seed, 4);
    let cloth: Colour = std::array::from_fn(|_| chance.between(0.08, 0.5));
    let x = -260.0 + 760.0 * passer.at;
    let y = 340.0;
    let body = [
        [x - 62.0, y, -40.0],
        [x + 62.0, y, -40.0],
        [x + 74.0, y, 210.0],
        [x + 30.0, y, 262.0],
        [x - 30.0, y, 262.0],
        [x - 74.0, y, 210.0],
    ];
    canvas.fill(&body, &paint(cloth, 1.0));
    for fold in 0..5 {
        let across = x - 50.0 + 24.0 * fold as f32 + chance.between(-6.0, 6.0);
        canvas.line(
            &[[across, y - 1.0, -30.0], [across + chance.between(-18.0, 18.0), y - 1.0, 190.0]],
            5.0,
            1.0,
            &paint(shade(cloth, 0.7), 0.6),
        );
    }
}

/// Draws the arm of somebody who reaches over the bed.
pub(super) fn draw_arm(canvas: &mut Canvas, seed: u64, passer: Passer) {
    if !passer.reaching {
        return;
    }
    let mut chance = Chance::new(seed, 5);
    let skin = mix([0.86, 0.66, 0.54], [0.42, 0.28, 0.2], chance.between(0.0, 1.0));
    let mut brush = Brush::new(canvas);
    let hand = [70.0 + 90.0 * passer.at, 70.0 + chance.between(0.0, 60.0), 66.0];
    let elbow = [250.0, 150.0 + chance.between(-40.0, 40.0), 120.0];
    brush.stroke(elbow, hand, 34.0, skin);
    for finger in 0..4 {
        let spread = finger as f32 * 9.0 - 14.0;
        let tip = [hand[0] - 30.0, hand[1] + spread * 1.4, hand[2] - 14.0];
        brush.stroke([hand[0] - 6.0, hand[1] + spread, hand[2]], tip, 8.5, shade(skin, 0.96));
    }
}
