//! Bare networks against each other: in turn within one run, so that whatever else the machine does hits all alike.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::model::RuntimeArguments;
use crate::vision::BareSession;

use super::cost::{self, Cost, Who};

const WARM_UP: u32 = 3;

/// One network's cost.
#[derive(Debug, Serialize)]
pub struct Network {
    /// The ONNX file.
    pub file: PathBuf,
    /// Shape of its first input as it was run.
    pub input: Vec<i64>,
    /// Median cost of one inference.
    #[serde(flatten)]
    pub cost: Cost,
    /// CPU time as a multiple of the first network's.
    pub cpu_ratio: f64,
}

/// Runs each network `rounds` times, in turn.
pub fn measure(
    files: &[PathBuf],
    runtime: &RuntimeArguments,
    rounds: u32,
) -> anyhow::Result<Vec<Network>> {
    let mut sessions = files
        .iter()
        .map(|file| BareSession::load(file, runtime.library(), runtime.threads()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); files.len()];
    for round in 0..rounds + WARM_UP {
        for (session, costs) in sessions.iter_mut().zip(&mut costs) {
            let (result, cost) = cost::of(Who::Process, || session.run());
            result?;
            if round >= WARM_UP {
                costs.push(cost);
            }
        }
    }
    let medians: Vec<Cost> = costs.iter().map(|costs| cost::median(costs)).collect();
    let first = medians.first().map_or(1.0, |cost| cost.cpu_ms);
    let network = |((file, session), cost): ((&PathBuf, &BareSession), &Cost)| Network {
        file: file.clone(),
        input: session.shape().to_vec(),
        cost: *cost,
        cpu_ratio: cost.cpu_ms / first,
    };
    Ok(files.iter().zip(&sessions).zip(&medians).map(network).collect())
}
