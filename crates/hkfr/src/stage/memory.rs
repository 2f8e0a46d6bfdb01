//! Peak resident memory of this process: `VmHWM` of `/proc/self/status`, where there is one.

/// Starts a new peak, so that each stage is charged only for itself. Without effect where the
/// system does not allow it; the peak is then that of the process so far.
pub fn reset_peak() {
    // proc(5): writing 5 to clear_refs resets the peak resident set size.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// In MB (10⁶ bytes).
pub fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib * 1024.0 / 1e5).round() / 10.0)
}
