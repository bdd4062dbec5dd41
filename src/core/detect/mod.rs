//! From scores to a level of concern, camera by camera.

pub mod clutter;
pub mod consecutive;
pub mod evidence;
pub mod grid;
pub mod lift;
pub mod light;
pub mod odds;
pub mod patience;
pub mod statistic;
pub mod tsd;
pub mod view;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::clutter::{Background, Clutter};
use self::consecutive::{Consecutive, ConsecutiveSettings};
use self::evidence::{Bar, Evidence, bar, bar_to_act};
use self::lift::withhold;
use self::light::Lights;
use self::patience::{Habit, Patience};
use self::statistic::{
    Lens, Region, frame_score, log_likelihood_ratio, point_of, positions, sum_of_confidences,
};
use self::tsd::{ESCALATION_ACT, ESCALATION_ALERT, Tsd};
use self::view::ViewReference;
use super::geometry;
use super::types::{FailureMap, FrameScore, ModelFacts};

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
/// Evidence may exceed its threshold by this factor, no further.
const HEADROOM: f64 = 1.2;
/// Whether a frame teaches what is usual is asked at this lift at most: at a higher one what is usual would speak for a
/// failure itself, and hardly anything would be learned.
const MOST_LIFTED_TO_LEARN: f64 = 1.5;
/// Cells and their neighbours from this probability on belong to what a dismissal covers.
const DISMISSED_FROM: f32 = 0.25;

/// From what evidence on people are told and the daemon acts.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Limits {
    alert: Bar,
    act: Bar,
}

impl Limits {
    fn of(alert_per_100h: f64, settings: &DetectSettings, model: &ModelFacts) -> Self {
        let (correlation_ms, measured) = (settings.correlation_ms, model.false_alarms.as_ref());
        Self {
            alert: bar(alert_per_100h, correlation_ms, measured),
            act: bar_to_act(settings.act_false_alarms_per_100h, correlation_ms, measured),
        }
    }
}

/// What is added to a frame's log-likelihood ratio before people are told, at the rate that they asked for: what this
/// camera is held to changes with every frame. The other rules lift nothing.
fn lift_of_news(settings: &DetectSettings, model: &ModelFacts) -> f64 {
    let rate = settings.alert_false_alarms_per_100h;
    match settings.rule {
        Rule::Evidence => bar(rate, settings.correlation_ms, model.false_alarms.as_ref()).lift,
        Rule::Tsd | Rule::Consecutive => 0.0,
    }
}

/// How the cells count for each rule: worked out anew when something changed.
#[derive(Debug, Clone, PartialEq)]
struct Lenses {
    /// Of which map: columns, rows, content; and at which lift.
    of: (u16, u16, [f32; 4], f64),
    /// What is masked out or dismissed counts for nothing.
    plain: Lens,
    /// And the background is taken into account.
    informed: Lens,
}

/// One camera's detector: every rule runs, one decides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detector {
    /// What speaks for telling people.
    alerting: Evidence,
    /// What speaks for acting.
    acting: Evidence,
    /// The Spaghetti Detective's rule.
    pub tsd: Tsd,
    consecutive: Consecutive,
    level: Level,
    dismissed: Region,
    /// Outlines as fractions of the frame; outside all of them nothing counts. None: everything does.
    masks: Vec<Vec<[f64; 2]>>,
    background: Background,
    lights: Lights,
    view: ViewReference,
    lenses: Option<Lenses>,
    /// What is spared known clutter.
    lift: f64,
    limits: Option<Limits>,
    patience: Patience,
    /// A part of this print has failed.
    failed: bool,
}

impl Detector {
    /// A detector of a camera of which only the part within `masks` counts (all of it when there are none), with what
    /// earlier prints taught.
    pub fn new(masks: Vec<Vec<[f64; 2]>>, clutter: Option<Clutter>, habit: Habit) -> Self {
        let view = clutter.as_ref().and_then(|clutter| clutter.view.clone()).unwrap_or_default();
        let (background, patience) = (Background::new(clutter), Patience::new(habit));
        Self { masks, view, background, patience, ..Self::default() }
    }

    /// Begins a new print: evidence and dismissals are of a print.
    pub fn new_print(&mut self) {
        self.forget();
        self.dismissed = Region::default();
        self.failed = false;
        self.background.new_print();
        self.lights = Lights::default();
        self.patience.new_print();
        self.lenses = None;
    }

    /// People have looked: forgets the evidence, keeps dismissals.
    pub fn forget(&mut self) {
        self.alerting.reset();
        self.acting.reset();
        self.tsd.new_print();
        self.consecutive = Consecutive::default();
        self.level = Level::Clear;
        self.patience.looked();
    }

    /// For the rest of this print, what these frames show counts for nothing there, and the evidence goes. `accused` are
    /// what raised suspicions: their hottest part belongs to the region however faint it is.
    pub fn dismiss(&mut self, accused: &[&FrameScore], last: Option<&FrameScore>) {
        let accused = accused.iter().map(|score| (self.informed(&score.map), true));
        let last = last.iter().map(|score| (self.informed(&score.map), false));
        for (seen, accused) in accused.chain(last).collect::<Vec<_>>() {
            let hottest = seen.cells.iter().copied().fold(0.0, f32::max);
            let floor = if accused { DISMISSED_FROM.min(hottest / 2.0) } else { DISMISSED_FROM };
            if hottest > 0.0 {
                self.dismissed.add_hot_cells(&seen, floor);
                self.lenses = None;
            }
        }
        self.forget();
    }

    /// People said that what is dismissed is no failure: what `score` shows there counts for less in later prints too, if
    /// this one ends well.
    pub fn pardon(&mut self, score: &FrameScore) {
        let dismissed =
            positions(&score.map).map(|(row, column)| self.dismissed.holds(row, column));
        self.background.dismiss(&score.map, dismissed);
    }

    /// Frames did not count for a while (a pause, a blind camera): what comes next stands for no time yet.
    pub fn interrupt(&mut self) {
        self.interrupt_evidence();
        self.background.interrupt();
    }

    fn interrupt_evidence(&mut self) {
        self.alerting.interrupt();
        self.acting.interrupt();
    }

    /// What earlier prints taught, if they did.
    pub fn clutter(&self) -> Option<&Clutter> {
        self.background.settled()
    }

    /// Takes in what the picture looks like as a whole. When the camera was moved, what was learned and dismissed by
    /// cells is forgotten; says whether something was.
    pub fn follow_view(&mut self, score: &FrameScore, printer_moves: bool) -> bool {
        let view = score.view.as_ref();
        let moved = view.is_some_and(|view| self.view.moves_to(view, printer_moves));
        if moved {
            self.dismissed = Region::default();
            self.lights = Lights::default();
            self.patience.moved();
            self.lenses = None;
        }
        moved && self.background.forget()
    }

    /// Whether most of what always was in view is hidden.
    pub fn is_covered(&self) -> bool {
        self.view.is_covered()
    }

    /// What `map` shows once masked, dismissed and cluttered cells are taken into account.
    pub fn informed(&self, map: &FailureMap) -> FailureMap {
        self.lenses.as_ref().map_or_else(|| map.clone(), |lenses| lenses.informed.applied(map))
    }

    /// Something failed here and the print goes on without it: for the rest of this print these cells count for nothing,
    /// the evidence that they gave goes, and nothing is learned of what this print shows.
    pub fn give_up(&mut self, cells: impl IntoIterator<Item = (u16, u16)>) {
        self.dismissed.extend(cells);
        self.lenses = None;
        self.failed = true;
        self.forget();
    }

    /// Wrong alerts per 100 hours that this camera is held to.
    pub fn held_to(&self, settings: &DetectSettings) -> f64 {
        self.patience.rate(settings.alert_false_alarms_per_100h, settings.act_false_alarms_per_100h)
    }

    /// What earlier prints taught of this camera's alerts.
    pub fn habit(&self) -> Habit {
        self.patience.habit()
    }

    /// The print ended well: what it showed is what fine prints show here. `None` when nothing was learned of its cells.
    pub fn settle(&mut self) -> Option<&Clutter> {
        let doubted = self.patience.is_doubted();
        if !self.failed {
            self.patience.ended_well();
        }
        if doubted || self.failed {
            return None;
        }
        self.lenses = None;
        self.background.settle(Some(self.view.clone()))
    }

    /// Takes in a frame that is no evidence; `early` when nothing has been extruded yet. Returns what it scores.
    pub fn look(&mut self, at_ms: u64, score: &FrameScore, model: &ModelFacts, early: bool) -> f32 {
        self.interrupt_evidence();
        if early && self.background.learn_early(at_ms, &score.map, &model.sha256) {
            self.lenses = None;
        }
        self.follow_light(at_ms, score, model);
        let lenses = self.lenses(&score.map, &model.sha256);
        frame_score(model.score_rule, &score.map, &score.boxes, &lenses.informed)
    }

    /// Takes in a frame's score; `at_ms` is when the frame was taken. `prior` is added to its log-likelihood ratio,
    /// `may_learn` tells that nobody else doubts the print. Returns the score that counted: masked, dismissed and cluttered cells taken into account.
    pub fn add(
        &mut self,
        at_ms: u64,
        score: &FrameScore,
        model: &ModelFacts,
        settings: &DetectSettings,
        (prior, may_learn): (f32, bool),
    ) -> f32 {
        let FrameScore { map, boxes, .. } = score;
        let held_to = self.held_to(settings);
        let limits = *self.limits.insert(Limits::of(held_to, settings, model));
        self.lift = lift_of_news(settings, model);
        self.follow_light(at_ms, score, model);
        let lenses = self.lenses(map, &model.sha256);
        let counted = frame_score(model.score_rule, map, boxes, &lenses.informed);
        let plain = frame_score(model.score_rule, map, boxes, &lenses.plain);
        let p = sum_of_confidences(map, boxes, &lenses.plain);
        let ratio = f64::from(log_likelihood_ratio(&model.calibration, counted) + prior);
        let add = |evidence: &mut Evidence, Bar { lift, threshold }: Bar| {
            evidence.add(at_ms, ratio + lift, settings.correlation_ms, threshold * HEADROOM)
        };
        let elapsed_ms = add(&mut self.alerting, limits.alert);
        add(&mut self.acting, limits.act);
        self.tsd.add(at_ms, f64::from(p));
        self.consecutive.add(plain, settings.consecutive);
        self.level = match settings.rule {
            Rule::Evidence => self.evidence_level(limits, ratio + limits.alert.lift > 0.0),
            Rule::Tsd => self.tsd_level(settings),
            Rule::Consecutive => self.consecutive_level(settings.consecutive),
        };
        self.patience.follow(self.level, held_to, elapsed_ms);
        let fine = self.level == Level::Clear
            && !self.patience.is_doubted()
            && ratio + limits.alert.lift.min(MOST_LIFTED_TO_LEARN) < 0.0
            && self.alerting.sum() < limits.alert.threshold * CLEAR_PART;
        if may_learn && fine && self.background.learn(at_ms, map, &model.sha256) {
            self.lenses = None;
        }
        counted
    }

    fn follow_light(&mut self, at_ms: u64, score: &FrameScore, model: &ModelFacts) {
        if self.lights.follow(at_ms, &score.map, score.brightness.as_ref(), &model.sha256) {
            self.lenses = None;
        }
    }

    /// How the cells of `map` count now.
    fn lenses(&mut self, map: &FailureMap, model: &str) -> &Lenses {
        let of = (map.columns, map.rows, map.content, self.lift);
        if self.lenses.as_ref().is_some_and(|lenses| lenses.of != of) {
            self.lenses = None;
        }
        let (masks, dismissed) = (&self.masks, &self.dismissed);
        let (background, lights, lift) = (&self.background, &self.lights, self.lift as f32);
        self.lenses.get_or_insert_with(|| {
            let hidden = |(row, column)| {
                let point = point_of(map, row, column).map(f64::from);
                let inside = masks.iter().any(|mask| geometry::holds(mask, point));
                dismissed.holds(row, column) || !(masks.is_empty() || inside)
            };
            let plain: Vec<f32> = if masks.is_empty() && dismissed.is_empty() {
                Vec::new()
            } else {
                positions(map).map(|at| if hidden(at) { 0.0 } else { 1.0 }).collect()
            };
            let mut informed = background.odds_factors(map, model);
            withhold(lift, &mut informed, map);
            lights.excuse(&mut informed, map, model);
            if informed.is_empty() {
                informed.clone_from(&plain);
            } else {
                informed.iter_mut().zip(&plain).for_each(|(factor, plain)| *factor *= plain);
            }
            Lenses { of, plain: Lens::new(plain), informed: Lens::new(informed) }
        })
    }

    fn evidence_level(&self, Limits { alert, act }: Limits, speaks: bool) -> Level {
        let (sum, alert) = (self.alerting.sum(), alert.threshold);
        let level = if self.acting.sum() >= act.threshold {
            Level::Act
        } else if sum >= alert {
            Level::Alert
        } else if sum >= alert * SUSPECT_PART
            || (self.level > Level::Clear && sum >= alert * CLEAR_PART)
        {
            Level::Suspect
        } else {
            Level::Clear
        };
        // No single frame is enough, however low the thresholds: another one after suspicion must speak for it too.
        level.min(match self.level {
            Level::Clear => Level::Suspect,
            Level::Suspect | Level::Alert | Level::Act if speaks => Level::Act,
            known @ (Level::Suspect | Level::Alert | Level::Act) => known,
        })
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
                self.limits.map_or(0.0, |limits| self.acting.sum() / limits.act.threshold)
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
