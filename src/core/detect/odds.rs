//! Probabilities as odds.

/// Probabilities are taken to lie this far from 0 and 1, which bounds what a clean cell can count for.
const MARGIN: f32 = 0.005;
/// The log-odds of that.
const LOWEST: f32 = -5.293_305;

/// The log-odds of a probability, 5.3 at most either way.
pub fn log_odds(p: f32) -> f32 {
    // Most cells of most frames, and a logarithm takes its time.
    if p <= MARGIN {
        return LOWEST;
    }
    let p = p.min(1.0 - MARGIN);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_are_even_about_a_half_and_bounded() {
        assert!((log_odds(0.0) - (MARGIN / (1.0 - MARGIN)).ln()).abs() < 1e-5);
        assert!((log_odds(0.3) + log_odds(0.7)).abs() < 1e-5);
        assert!((log_odds(0.0) + log_odds(1.0)).abs() < 1e-3);
    }
}
