//! The shape of `[act]`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Span;
use crate::core::command::ActionChoice;
use crate::core::contract::OnBlind;
use crate::core::incident::Unanswered;

/// What to do about a failure.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Act {
    /// Whether to act at all after a start. Without it Strandwatch only tells people; clients can `arm` and `disarm` it.
    pub armed: bool,
    /// What to do when a failure is certain enough.
    pub on_failure: ActionChoice,
    /// What to do when nothing has been seen of a print for `watch.blind_alert_after`. Only while armed.
    pub on_blind: OnBlind,
    /// Time for people to dismiss it before Strandwatch acts; "0s" acts at once.
    #[schemars(extend("x-least" = "0s", "x-most" = "1h"))]
    pub veto: Span,
    /// How many clients must agree before their `confirm` or `dismiss` counts. One client, one vote: its last.
    #[schemars(range(min = 1, max = 100))]
    pub votes_needed: u32,
    /// What to do when so many have confirmed, also after a pause. Without it: as `on_failure`. Pausing at once and
    /// cancelling by vote is `on_failure = "pause"`, `veto = "0s"` and `on_confirmed = "cancel"`.
    #[schemars(example = &"cancel")]
    pub on_confirmed: Option<ActionChoice>,
    /// How long people have, after a pause by Strandwatch, to confirm or dismiss it.
    #[schemars(extend("x-least" = "10s", "x-most" = "24h"))]
    pub answer_within: Span,
    /// What to do with the paused print when they have not.
    pub if_unanswered: Unanswered,
    /// How long a print that Strandwatch paused may stay hot before it turns the heaters off, unless somebody resumes,
    /// cancels, dismisses, snoozes or disarms. The position is kept, the part may come loose as the bed cools. Without it
    /// the printer's own idle_timeout decides, which loses the position.
    #[schemars(extend("x-least" = "1m", "x-most" = "24h"), example = &"30m")]
    pub heaters_off_after: Option<Span>,
    /// How often an action is tried until the printer reports it done.
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u32,
    /// How long the printer may take to report an action done before it is tried again. A PAUSE macro may take a while.
    #[schemars(extend("x-least" = "1s", "x-most" = "5m"))]
    pub confirm_within: Span,
}

impl Default for Act {
    fn default() -> Self {
        Self {
            armed: true,
            on_failure: ActionChoice::Pause,
            on_blind: OnBlind::Nothing,
            veto: Span(Duration::from_secs(30)),
            votes_needed: 1,
            on_confirmed: None,
            answer_within: Span(Duration::from_secs(600)),
            if_unanswered: Unanswered::Nothing,
            heaters_off_after: None,
            attempts: 3,
            confirm_within: Span(Duration::from_secs(30)),
        }
    }
}
