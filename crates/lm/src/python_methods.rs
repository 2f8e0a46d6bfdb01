//! Python's string and dict methods for chat templates, which are written for Jinja2 in Python.

use minijinja::value::{Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

/// For [`minijinja::Environment::set_unknown_method_callback`].
pub(crate) fn call(_: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => string(text, method, args),
        (None, ValueKind::Map) => map(value, method, args),
        _ => Err(unknown(method, value.kind())),
    }
}

fn unknown(method: &str, kind: ValueKind) -> Error {
    Error::new(
        ErrorKind::UnknownMethod,
        format!("{kind} has no method named {method}"),
    )
}

fn string(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let within = |chars: Option<&str>| {
        let chars = chars.map(str::to_owned);
        move |c: char| match &chars {
            Some(chars) => chars.contains(c),
            None => c.is_whitespace(),
        }
    };
    match method {
        "strip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            Ok(text.trim_matches(within(chars)).into())
        }
        "lstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            Ok(text.trim_start_matches(within(chars)).into())
        }
        "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            Ok(text.trim_end_matches(within(chars)).into())
        }
        "startswith" | "endswith" => {
            let (parts,): (Value,) = from_args(args)?;
            let fits = |part: &str| match method {
                "startswith" => text.starts_with(part),
                _ => text.ends_with(part),
            };
            match parts.as_str() {
                Some(part) => Ok(fits(part).into()),
                None => Ok(parts
                    .try_iter()?
                    .any(|p| p.as_str().is_some_and(fits))
                    .into()),
            }
        }
        "split" => {
            let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
            let limit = limit.and_then(|n| usize::try_from(n).ok());
            let parts: Vec<Value> = match (separator, limit) {
                (Some(sep), Some(n)) => text.splitn(n + 1, sep).map(Value::from).collect(),
                (Some(sep), None) => text.split(sep).map(Value::from).collect(),
                (None, None) => text.split_whitespace().map(Value::from).collect(),
                (None, Some(_)) => {
                    return Err(Error::new(
                        ErrorKind::InvalidOperation,
                        "split with a limit needs a separator",
                    ));
                }
            };
            Ok(parts.into())
        }
        "replace" => {
            let (from, to): (&str, &str) = from_args(args)?;
            Ok(text.replace(from, to).into())
        }
        "upper" => from_args::<()>(args).map(|()| text.to_uppercase().into()),
        "lower" => from_args::<()>(args).map(|()| text.to_lowercase().into()),
        "title" => from_args::<()>(args).map(|()| title(text).into()),
        "capitalize" => {
            from_args::<()>(args)?;
            let mut chars = text.chars();
            let first: String = chars
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .collect();
            Ok((first + &chars.as_str().to_lowercase()).into())
        }
        _ => Err(unknown(method, ValueKind::String)),
    }
}

/// Every letter after a non-letter in upper case, the others in lower.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphabetic();
    }
    out
}

fn map(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match method {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            Ok(if found.is_undefined() {
                default.unwrap_or(Value::from(()))
            } else {
                found
            })
        }
        "keys" => from_args::<()>(args).and_then(|()| Ok(value.try_iter()?.collect())),
        "values" | "items" => {
            from_args::<()>(args)?;
            value
                .try_iter()?
                .map(|key| {
                    let item = value.get_item(&key)?;
                    Ok(match method {
                        "values" => item,
                        _ => Value::from(vec![key, item]),
                    })
                })
                .collect::<Result<Vec<Value>, Error>>()
                .map(Value::from)
        }
        _ => Err(unknown(method, ValueKind::Map)),
    }
}
