//! What the audit of a broker tries, one row each, and what follows from what it found: the doctor's report, the daemon's
//! health, the documentation and the decision to take commands all come from here.

use serde::{Deserialize, Serialize};

use super::authz::Trust;

/// One thing that is tried with real connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// [`CHECKS`] says what each is.
    Strangers,
    /// See there.
    Transport,
    /// See there.
    Requests,
    /// See there.
    State,
    /// See there.
    Responses,
    /// See there.
    Everything,
    /// See there.
    Retained,
    /// See there.
    Moonraker,
}

/// A check's row.
#[derive(Debug)]
pub struct CheckRow {
    /// Which.
    pub check: Check,
    /// Its name in documents.
    pub name: &'static str,
    /// What must hold.
    pub holds: &'static str,
    /// What to do when it does not.
    pub remedy: &'static str,
    /// Under which kinds of trust commands rest on it.
    pub carries: &'static [Trust],
}

const ISOLATION: &[Trust] = &[Trust::Isolation];

/// Every check there is.
pub const CHECKS: &[CheckRow] = &[
    CheckRow {
        check: Check::Strangers,
        name: "strangers",
        holds: "Nobody gets in without a login, or with a made-up one.",
        remedy: "write `allow_anonymous false` and a `password_file` into the broker's configuration",
        carries: &[Trust::Isolation, Trust::AnyLogin],
    },
    CheckRow {
        check: Check::Transport,
        name: "transport",
        holds: "Passwords do not cross a network as plain text: the broker is on this host, or speaks TLS.",
        remedy: "let the broker speak TLS and write `tls = true` under [mqtt], or sign requests (mqtt.trust = \"signatures\")",
        carries: ISOLATION,
    },
    CheckRow {
        check: Check::Requests,
        name: "requests",
        holds: "A client cannot publish a request in another's name.",
        remedy: "let clients write by `pattern write <base>/client/%u/request/#` alone, and by no wider rule",
        carries: ISOLATION,
    },
    CheckRow {
        check: Check::State,
        name: "state",
        holds: "A client cannot publish what the daemon says: states and events.",
        remedy: "let nobody but Strandwatch's own user write elsewhere below <base>/",
        carries: ISOLATION,
    },
    CheckRow {
        check: Check::Responses,
        name: "responses",
        holds: "A client cannot read the answers to another.",
        remedy: "let clients read answers by `pattern read <base>/client/%u/response/#` alone",
        carries: ISOLATION,
    },
    CheckRow {
        check: Check::Everything,
        name: "everything",
        holds: "A client that subscribes to `#` gets what is public and its own, and nothing else.",
        remedy: "take `topic read #` and `topic readwrite #` from the rules of clients",
        carries: ISOLATION,
    },
    CheckRow {
        check: Check::Retained,
        name: "retained",
        holds: "No request is retained on the broker.",
        remedy: "let clients publish requests without the retain flag; Strandwatch's user must be able to write below <base>/, so that it can clear them",
        carries: &[],
    },
    CheckRow {
        check: Check::Moonraker,
        name: "moonraker",
        holds: "Clients cannot reach Moonraker's own interface on this broker, through which any G-code can be run.",
        remedy: "write `enable_moonraker_api: False` under [mqtt] in moonraker.conf, or let no client write <instance>/moonraker/api/request",
        carries: &[],
    },
];

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// It was tried, and holds.
    Holds,
    /// It was tried, and does not.
    Broken {
        /// What was seen.
        detail: String,
    },
    /// It could not be tried.
    Unproven {
        /// Why not.
        detail: String,
    },
}

/// A check and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// How it went.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What an audit found, each check once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Audit(pub Vec<Finding>);

impl Check {
    /// Its row.
    pub fn row(self) -> &'static CheckRow {
        // Every check has a row: a test sees to it.
        CHECKS.iter().find(|row| row.check == self).unwrap_or(&CHECKS[0])
    }
}

impl Outcome {
    /// Its word in documents.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Broken { .. } => "broken",
            Self::Unproven { .. } => "unproven",
        }
    }
}

impl Finding {
    /// What is wrong and what to do; `None` when nothing is.
    pub fn problem(&self) -> Option<String> {
        let row = self.check.row();
        match &self.outcome {
            Outcome::Holds => None,
            Outcome::Broken { detail } => Some(format!("{detail}; {}", row.remedy)),
            Outcome::Unproven { detail } => Some(format!("not shown: {} {detail}", row.holds)),
        }
    }
}

impl Audit {
    /// Why commands cannot rest on this broker, under this trust; `None` when they can. What was not tried does not hold.
    pub fn why_closed(&self, trust: Trust) -> Option<String> {
        CHECKS.iter().filter(|row| row.carries.contains(&trust)).find_map(|row| {
            match self.0.iter().find(|finding| finding.check == row.check) {
                Some(finding) => finding.problem(),
                None => Some(format!("not tried: {}", row.holds)),
            }
        })
    }

    /// Everything that is wrong, each with its check's name and what to do.
    pub fn problems(&self) -> Vec<String> {
        let named = |finding: &Finding| {
            Some(format!("{}: {}", finding.check.row().name, finding.problem()?))
        };
        self.0.iter().filter_map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_hold() -> Audit {
        let holds = |row: &CheckRow| Finding { check: row.check, outcome: Outcome::Holds };
        Audit(CHECKS.iter().map(holds).collect())
    }

    const TRUSTS: [Trust; 3] = [Trust::Isolation, Trust::Signatures, Trust::AnyLogin];

    #[test]
    fn every_check_has_its_own_row() {
        for row in CHECKS {
            assert_eq!(row.check.row().name, row.name);
            assert_eq!(serde_json::to_value(row.check).unwrap(), row.name);
            assert!(row.holds.ends_with('.') && !row.remedy.ends_with('.'));
        }
    }

    #[test]
    fn each_check_that_carries_commands_closes_the_plane_when_it_is_broken_unproven_or_missing() {
        for trust in TRUSTS {
            assert_eq!(all_hold().why_closed(trust), None);
            for (index, row) in CHECKS.iter().enumerate() {
                let detail = "this was seen".to_owned();
                let mut broken = all_hold();
                broken.0[index].outcome = Outcome::Broken { detail: detail.clone() };
                let mut unproven = all_hold();
                unproven.0[index].outcome = Outcome::Unproven { detail };
                let mut missing = all_hold();
                missing.0.remove(index);
                let carries = row.carries.contains(&trust);
                for audit in [&broken, &unproven, &missing] {
                    assert_eq!(
                        audit.why_closed(trust).is_some(),
                        carries,
                        "{trust:?} {}",
                        row.name
                    );
                }
                assert!(broken.problems()[0].contains(row.remedy));
            }
        }
    }

    #[test]
    fn isolation_rests_on_all_that_keeps_clients_apart_and_no_login_is_ever_needed_by_none_but_signatures()
     {
        let carried = |trust| CHECKS.iter().filter(|row| row.carries.contains(&trust)).count();
        assert_eq!(TRUSTS.map(carried), [6, 0, 1]);
        assert!(Audit::default().why_closed(Trust::AnyLogin).unwrap().contains("without a login"));
    }
}
