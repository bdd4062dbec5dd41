//! What a piece of work costs: wall time and CPU time.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Cost of one piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Time that passed, ms.
    pub wall_ms: f64,
    /// Time that processors worked on it, all threads together, ms.
    pub cpu_ms: f64,
}

/// Whose CPU time counts.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    /// Only the calling thread.
    ThisThread,
    /// Every thread of the process: ONNX Runtime has its own.
    Process,
}

/// Both clocks at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    who: Who,
    wall: Instant,
    cpu_ms: f64,
}

impl Reading {
    /// Reads them.
    pub fn of(who: Who) -> Self {
        Self { who, wall: Instant::now(), cpu_ms: cpu_ms(who) }
    }

    /// What was spent since.
    pub fn until_now(self) -> Cost {
        let cpu_ms = cpu_ms(self.who) - self.cpu_ms;
        Cost { cpu_ms, wall_ms: self.wall.elapsed().as_secs_f64() * 1000.0 }
    }
}

fn cpu_ms(who: Who) -> f64 {
    let clock = match who {
        Who::ThisThread => ClockId::ThreadCPUTime,
        Who::Process => ClockId::ProcessCPUTime,
    };
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1e6
}

/// Does the work and says what it cost.
pub fn of<T>(who: Who, work: impl FnOnce() -> T) -> (T, Cost) {
    let start = Reading::of(who);
    let result = work();
    (result, start.until_now())
}

/// The median of both times: other work on the machine disturbs it least.
pub fn median(costs: &[Cost]) -> Cost {
    let middle = |time: fn(&Cost) -> f64| {
        let mut times: Vec<f64> = costs.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    };
    Cost { wall_ms: middle(|cost| cost.wall_ms), cpu_ms: middle(|cost| cost.cpu_ms) }
}

/// The most memory this process has held at once, MiB (`VmHWM`); `None` where the system does not say.
pub fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_takes_time_but_no_cpu() {
        let nap = std::time::Duration::from_millis(60);
        let ((), cost) = of(Who::ThisThread, || std::thread::sleep(nap));
        assert!(cost.wall_ms >= 60.0, "{cost:?}");
        assert!(cost.cpu_ms < cost.wall_ms / 2.0, "{cost:?}");
    }

    #[test]
    fn work_of_another_thread_counts_for_the_process_only() {
        let busy = || {
            let until = Who::ThisThread;
            let mut spent = 0.0;
            while spent < 20.0 {
                let step = || std::hint::black_box((0..100_000u64).sum::<u64>());
                spent += of(until, step).1.cpu_ms;
            }
        };
        let elsewhere = || std::thread::spawn(busy).join().unwrap();
        let ((), own) = of(Who::ThisThread, elsewhere);
        let ((), all) = of(Who::Process, elsewhere);
        assert!(own.cpu_ms < 15.0, "{own:?}");
        assert!(all.cpu_ms >= 20.0, "{all:?}");
    }

    #[test]
    fn the_median_is_not_moved_by_one_outlier() {
        let cost = |ms| Cost { wall_ms: ms, cpu_ms: ms / 2.0 };
        let found = median(&[cost(1.0), cost(900.0), cost(2.0)]);
        assert_eq!(found, cost(2.0));
    }
}
