//! Probabilities as odds.

/// Probabilities are taken to lie this far from 0 and 1, which bounds what a clean cell can count for.
const MARGIN: f32 = 0.005;

/// The log-odds of a probability, 5.3 at most either way.
pub fn log_odds(p: f32) -> f32 {
    let p = p.clamp(MARGIN, 1.0 - MARGIN);
    (p / (1.0 - p)).ln()
}

/// `p` with its odds multiplied by `factor`; a discounted cell is nearly certain at most, or no discount could touch it.
pub fn with_odds(p: f32, factor: f32) -> f32 {
    if factor == 1.0 {
        return p;
    }
    let p = if factor < 1.0 { p.min(1.0 - MARGIN) } else { p };
    p * factor / (1.0 - p + p * factor)
}
