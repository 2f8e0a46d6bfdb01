//! Numbers as people read them.

/// `1,469,307`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `p .012`, `p <.001`, and for a p-value that is the smallest the test can give `p ≤ .008`.
pub(crate) fn p_text(p: f64, is_floor: bool) -> String {
    match p {
        p if p < 0.001 => "p <.001".into(),
        p if is_floor => format!("p ≤ {}", short(p, 3)),
        p if p >= 0.9995 => "p 1".into(),
        p => format!("p {}", short(p, 3)),
    }
}

/// `+0.0123` or `−0.0123`, with a true minus sign.
pub(crate) fn signed(x: f64) -> String {
    let digits = format!("{:.4}", x.abs());
    match x {
        _ if digits == "0.0000" => digits,
        x if x < 0.0 => format!("−{digits}"),
        _ => format!("+{digits}"),
    }
}

/// `.0123` or `−.0123`: without the zero before the point.
pub(crate) fn short(x: f64, digits: usize) -> String {
    let abs = format!("{:.digits$}", x.abs());
    let zero = abs.bytes().all(|b| b"0.".contains(&b));
    let sign = if x < 0.0 && !zero { "−" } else { "" };
    let digits = match abs.strip_prefix("0.") {
        Some(after) => format!(".{after}"),
        None => abs,
    };
    format!("{sign}{digits}")
}

/// `83.2 s`, `12 min 05 s`.
pub(crate) fn seconds(s: f64) -> String {
    match s {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s => {
            let whole = s.round() as u64;
            format!("{} min {:02} s", whole / 60, whole % 60)
        }
    }
}

/// In MB of 10⁶ bytes.
pub(crate) fn megabytes(mb: f64) -> String {
    format!("{} MB", thousands(mb.max(0.0).round() as usize))
}
