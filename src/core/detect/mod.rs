//! From scores to a level of concern, camera by camera.

pub mod consecutive;
pub mod evidence;
pub mod statistic;
pub mod tsd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::consecutive::{Consecutive, ConsecutiveSettings};
use self::evidence::{Evidence, threshold};
use self::statistic::{Region, frame_score, log_likelihood_ratio, sum_of_confidences};
use self::tsd::{ESCALATION_ACT, ESCALATION_ALERT, Tsd};
use super::types::{FrameScore, ModelFacts};

/// Which rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Calibrated evidence over time.
    #[default]
    Evidence,
    /// The Spaghetti Detective's rule.
    Tsd,
    /// So many frames in a row.
    Consecutive,
}

/// What the rules are set to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectSettings {
    /// Which rule decides.
    pub rule: Rule,
    /// Frames within this time are no independent witnesses, ms.
    pub correlation_ms: u64,
    /// Tolerated wrong actions per 100 print-hours.
    pub act_false_alarms_per_100h: f64,
    /// Tolerated wrong alerts per 100 print-hours.
    pub alert_false_alarms_per_100h: f64,
    /// The Spaghetti Detective's sensitivity, 0.8 to 1.2 there.
    pub tsd_sensitivity: f64,
    /// For frames in a row.
    #[serde(default)]
    pub consecutive: ConsecutiveSettings,
}

/// How worrying it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing.
    #[default]
    Clear,
    /// Look more often.
    Suspect,
    /// Tell people.
    Alert,
    /// Act.
    Act,
}

/// Suspicion begins at this part of the alert's threshold, and ends below [`CLEAR_PART`] of it.
const SUSPECT_PART: f64 = 0.3;
const CLEAR_PART: f64 = 0.1;
/// Evidence may exceed the threshold for acting by this factor, no further.
const HEADROOM: f64 = 1.2;
/// Cells and their neighbours from this probability on belong to what a dismissal covers.
const DISMISSED_FROM: f32 = 0.25;

/// One camera's detector: every rule runs, one decides.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Detector {
    evidence: Evidence,
    /// The Spaghetti Detective's rule.
    pub tsd: Tsd,
    consecutive: Consecutive,
    level: Level,
    dismissed: Region,
}

impl Detector {
    /// Begins a new print: evidence and dismissals are of a print.
    pub fn new_print(&mut self) {
        self.evidence.reset();
        self.tsd.new_print();
        self.consecutive = Consecutive::default();
        self.level = Level::Clear;
        self.dismissed = Region::default();
    }

    /// Forgets the evidence, keeps dismissals.
    pub fn forget(&mut self) {
        self.evidence.reset();
        self.tsd.new_print();
        self.consecutive = Consecutive::default();
        self.level = Level::Clear;
    }

    /// For the rest of this print, what `score` shows counts for nothing there. `accused` tells that this frame is what
    /// raised the suspicion, so that its hottest part belongs to the region however faint it is.
    pub fn dismiss(&mut self, score: &FrameScore, accused: bool) {
        let hottest = score.map.cells.iter().copied().fold(0.0, f32::max);
        let floor = if accused { DISMISSED_FROM.min(hottest / 2.0) } else { DISMISSED_FROM };
        if hottest > 0.0 {
            self.dismissed.add_hot_cells(&score.map, floor);
        }
    }

    /// Frames did not count for a while (a pause, a blind camera): what comes next stands for no time yet.
    pub fn interrupt(&mut self) {
        self.evidence.interrupt();
    }

    /// Takes in a frame's score; `at_ms` is when the frame was taken. Returns the score that counted, dismissed regions left out.
    pub fn add(
        &mut self,
        at_ms: u64,
        score: &FrameScore,
        model: &ModelFacts,
        settings: &DetectSettings,
    ) -> f32 {
        let counted = frame_score(model.score_rule, &score.map, &score.boxes, &self.dismissed);
        let ratio = log_likelihood_ratio(&model.calibration, counted);
        let act = threshold(settings.act_false_alarms_per_100h, settings.correlation_ms);
        self.evidence.add(at_ms, ratio, settings.correlation_ms, act * HEADROOM);
        let p = sum_of_confidences(&score.map, &score.boxes, &self.dismissed);
        self.tsd.add(at_ms, f64::from(p));
        self.consecutive.add(counted, settings.consecutive);
        self.level = match settings.rule {
            Rule::Evidence => self.evidence_level(settings),
            Rule::Tsd => self.tsd_level(settings),
            Rule::Consecutive => self.consecutive_level(settings.consecutive),
        };
        counted
    }

    fn evidence_level(&self, settings: &DetectSettings) -> Level {
        let sum = self.evidence.sum();
        let alert = threshold(settings.alert_false_alarms_per_100h, settings.correlation_ms);
        let act = threshold(settings.act_false_alarms_per_100h, settings.correlation_ms);
        if sum >= act {
            Level::Act
        } else if sum >= alert {
            Level::Alert
        } else if sum >= alert * SUSPECT_PART
            || (self.level > Level::Clear && sum >= alert * CLEAR_PART)
        {
            Level::Suspect
        } else {
            Level::Clear
        }
    }

    fn tsd_level(&self, settings: &DetectSettings) -> Level {
        let failing = |escalation| self.tsd.is_failing(settings.tsd_sensitivity, escalation);
        if failing(ESCALATION_ACT) {
            Level::Act
        } else if failing(ESCALATION_ALERT) {
            Level::Alert
        } else if self.tsd.adjusted(settings.tsd_sensitivity, ESCALATION_ALERT) >= 0.2 {
            Level::Suspect
        } else {
            Level::Clear
        }
    }

    fn consecutive_level(&self, settings: ConsecutiveSettings) -> Level {
        match self.consecutive.in_a_row() {
            0 => Level::Clear,
            frames if frames >= settings.to_act() => Level::Act,
            frames if frames >= settings.to_alert() => Level::Alert,
            _ => Level::Suspect,
        }
    }

    /// How worrying it is now.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The deciding rule's statistic as a fraction of what acting needs; may exceed 1.
    pub fn fraction(&self, settings: &DetectSettings) -> f32 {
        let fraction = match settings.rule {
            Rule::Evidence => {
                self.evidence.sum()
                    / threshold(settings.act_false_alarms_per_100h, settings.correlation_ms)
            }
            Rule::Tsd => {
                (self.tsd.adjusted(settings.tsd_sensitivity, ESCALATION_ACT) / 0.78).max(0.0)
            }
            Rule::Consecutive => {
                f64::from(self.consecutive.in_a_row()) / f64::from(settings.consecutive.to_act())
            }
        };
        fraction as f32
    }
}
