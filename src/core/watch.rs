//! Whether anybody is really watching: `watching | degraded(why) | blind(why) | off`. Doubt is never "clear".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{SourceFault, SourceHealth, SourceReport};

/// How well a print is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "watch", rename_all = "snake_case")]
pub enum Watch {
    /// Nothing to watch.
    Off,
    /// A job began or was resumed, or a camera sees again; the first score is still to come.
    Starting,
    /// Scores are fresh and can be trusted.
    Watching,
    /// Scores come, but something limits what can be seen or done.
    Degraded {
        /// What, where it is the picture.
        fault: Option<SourceFault>,
        /// For people.
        why: String,
    },
    /// Nothing is seen.
    Blind {
        /// What, where it is the picture.
        fault: Option<SourceFault>,
        /// For people.
        why: String,
    },
}

/// How well a print is watched, as one word of the state document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WatchWord {
    /// Nothing to watch.
    Off,
    /// Scores are fresh and can be trusted.
    Watching,
    /// Something limits what can be seen or done.
    Degraded,
    /// Nothing is seen.
    Blind,
}

impl Watch {
    /// The word for it; starting up reads `degraded`, as nothing has been seen yet.
    pub fn word(&self) -> WatchWord {
        match self {
            Self::Off => WatchWord::Off,
            Self::Watching => WatchWord::Watching,
            Self::Starting | Self::Degraded { .. } => WatchWord::Degraded,
            Self::Blind { .. } => WatchWord::Blind,
        }
    }

    /// Why it is not simply watching.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::Off | Self::Watching => None,
            Self::Starting => Some("waiting for a fresh score".to_owned()),
            Self::Degraded { why, .. } | Self::Blind { why, .. } => Some(why.clone()),
        }
    }

    /// Whether `other` differs in more than its wording: only then is it announced.
    pub fn differs_in_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Degraded { fault: a, .. }, Self::Degraded { fault: b, .. })
            | (Self::Blind { fault: a, .. }, Self::Blind { fault: b, .. }) => a != b,
            (a, b) => a.rank() != b.rank(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Watching => 1,
            Self::Degraded { .. } => 2,
            Self::Starting => 3,
            Self::Blind { .. } => 4,
        }
    }
}

/// A score may be this much older than two intervals, ms.
pub const STALE_GRACE_MS: u64 = 10_000;

/// What is known of one camera while a job runs.
pub struct CameraView<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// What it says of itself.
    pub report: Option<&'a SourceReport>,
    /// When frames were first wanted, monotonic ms.
    pub wanted_ms: u64,
    /// When the last score's frame was taken.
    pub scored_ms: Option<u64>,
    /// Why it showed nothing, until a score proves that it shows something again.
    pub unseen: Option<&'a (SourceFault, String)>,
    /// Time between frames, ms.
    pub interval_ms: u64,
    /// Whether the printer has been moving for long enough that every camera must have seen it.
    pub printer_moves: bool,
}

/// When a camera's last score becomes stale.
pub fn stale_at_ms(view: &CameraView<'_>) -> u64 {
    let since = view.scored_ms.unwrap_or(0).max(view.wanted_ms);
    since.saturating_add(view.interval_ms.saturating_mul(2)).saturating_add(STALE_GRACE_MS)
}

/// Pictures arrive, and yet show nothing of the print: repeated, black or white ones.
fn hides_the_print(fault: SourceFault) -> bool {
    match fault {
        SourceFault::Still => true,
        SourceFault::Frozen | SourceFault::Dark | SourceFault::Overexposed => true,
        SourceFault::Unreachable
        | SourceFault::Vanished
        | SourceFault::Stalled
        | SourceFault::Blurred
        | SourceFault::Occluded
        | SourceFault::Undecodable => false,
    }
}

static SEEING: SourceHealth = SourceHealth::Seeing;

/// What a camera says of itself, as far as it can know: that nothing moves says nothing while the printer rests.
pub fn credible(report: &SourceReport, printer_moves: bool) -> &SourceHealth {
    let still = matches!(report.health, SourceHealth::Impaired { fault: SourceFault::Still, .. });
    if still && !printer_moves { &SEEING } else { &report.health }
}

/// Why what a camera shows now can be no evidence, for or against; `None` when it can.
pub fn why_unseen(report: &SourceReport, printer_moves: bool) -> Option<(SourceFault, String)> {
    match credible(report, printer_moves) {
        SourceHealth::Blind { fault, why } => Some((*fault, why.clone())),
        SourceHealth::Impaired { fault, why } if hides_the_print(*fault) => {
            Some((*fault, why.clone()))
        }
        SourceHealth::Impaired { .. }
        | SourceHealth::Idle
        | SourceHealth::Opening
        | SourceHealth::Seeing => None,
    }
}

/// One camera's part of the watch.
pub fn of_camera(now_ms: u64, view: &CameraView<'_>) -> Watch {
    let named = |why: &str| format!("camera {}: {why}", view.name);
    let faulty = match view.report.map(|report| credible(report, view.printer_moves)) {
        Some(SourceHealth::Blind { fault, why }) => {
            return Watch::Blind { fault: Some(*fault), why: named(why) };
        }
        Some(SourceHealth::Impaired { fault, why }) => Some((*fault, named(why))),
        Some(SourceHealth::Idle | SourceHealth::Opening | SourceHealth::Seeing) | None => None,
    };
    let fresh = view.scored_ms.filter(|&scored| scored > view.wanted_ms);
    if let (None, Some((fault, why))) = (fresh, view.unseen) {
        // It says that it opens or sees again: a score has to show it.
        return Watch::Blind { fault: Some(*fault), why: named(why) };
    }
    if now_ms >= stale_at_ms(view) {
        return Watch::Blind { fault: None, why: named("no score for too long") };
    }
    match (fresh, faulty) {
        (None, _) => Watch::Starting,
        (Some(_), Some((fault, why))) if hides_the_print(fault) => {
            Watch::Blind { fault: Some(fault), why }
        }
        (Some(_), Some((fault, why))) => Watch::Degraded { fault: Some(fault), why },
        (Some(_), None) => Watch::Watching,
    }
}

/// All cameras together: blind when none sees, degraded when some do not.
pub fn of_cameras(cameras: Vec<Watch>) -> Watch {
    let worst = cameras.iter().max_by_key(|watch| watch.rank()).cloned();
    let best = cameras.iter().min_by_key(|watch| watch.rank()).cloned();
    match (best, worst) {
        (Some(Watch::Watching), Some(Watch::Watching)) => Watch::Watching,
        (Some(Watch::Watching | Watch::Degraded { .. }), Some(worst)) => match worst {
            Watch::Degraded { fault, why } | Watch::Blind { fault, why } => {
                Watch::Degraded { fault, why }
            }
            Watch::Off | Watch::Starting | Watch::Watching => {
                Watch::Degraded { fault: None, why: "a camera has not been seen yet".to_owned() }
            }
        },
        (Some(best), Some(_)) => best,
        (None, _) | (_, None) => {
            Watch::Blind { fault: None, why: "no camera is configured for this printer".to_owned() }
        }
    }
}
