//! An error in the body of a reply, in every form in which services put it there, and the status that it stands for.
//!
//! `{"error": {…}}`, `{"error": "…"}`, `[{"error": …}]` (Gemini), `{"choices": [{"error": …}]}` (OpenRouter),
//! `{"detail": …}` (FastAPI), `{"object": "error", "message": …, "code": 400}` (vLLM), `{"message": …, "code": 429}`,
//! `{"errors": […]}`, `{"error_code": …, "error_msg": …}`, `{"base_resp": {"status_code": …}}` (MiniMax).

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// As the body says it, in a number or in words; 500 where it says neither.
    pub status: u16,
    /// The service's words.
    pub said: String,
}

/// `None`: the body tells of no error.
pub(super) fn fault(body: &Value) -> Option<Fault> {
    let body = match body {
        Value::Array(list) => list.first()?,
        one => one,
    };
    let is_said = |v: &&Value| match v {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    };
    let inside = [
        &body["error"],
        &body["choices"][0]["error"],
        &body["errors"],
    ];
    if let Some(error) = inside.into_iter().find(is_said) {
        let error = match error {
            Value::Array(list) => &list[0],
            one => one,
        };
        return Some(described(error, body));
    }
    let refused = &body["base_resp"];
    if refused["status_code"]
        .as_i64()
        .is_some_and(|code| code != 0)
    {
        return Some(described(refused, body));
    }
    let answers = ["choices", "message", "content", "response", "output"];
    let has = |key: &str| body.get(key).is_some_and(|v| v.is_object() || v.is_array());
    if answers.into_iter().any(has) {
        return None;
    }
    let alone = ["detail", "message", "error_msg", "msg", "fault"];
    let alone = alone.into_iter().any(|key| is_said(&&body[key]));
    alone.then(|| described(body, body))
}

fn described(error: &Value, body: &Value) -> Fault {
    let keys = [
        "message",
        "detail",
        "error_msg",
        "status_msg",
        "msg",
        "faultstring",
        "fault",
    ];
    let said = keys.iter().map(|key| &error[*key]).find(|v| !v.is_null());
    let said = said.unwrap_or(error);
    let said = said
        .as_str()
        .map_or_else(|| said.to_string(), str::to_owned);
    let codes = [
        "code",
        "status",
        "status_code",
        "statusCode",
        "http_status",
        "type",
        "error_code",
    ];
    let codes: Vec<&Value> = [error, body]
        .into_iter()
        .flat_map(|place| codes.iter().map(move |key| &place[*key]))
        .collect();
    let status = codes.iter().find_map(|code| number(code));
    let words = codes.iter().filter_map(|code| code.as_str());
    let status = status
        .or_else(|| words.filter_map(in_words).next())
        .or_else(|| in_words(&said));
    Fault {
        status: status.unwrap_or(500),
        said,
    }
}

fn number(code: &Value) -> Option<u16> {
    let code = match code {
        Value::String(text) => text.trim().parse().ok()?,
        code => code.as_u64()?,
    };
    (400..600).contains(&code).then_some(code as u16)
}

/// `rate_limit_exceeded`, `RESOURCE_EXHAUSTED`, `AuthenticationError`, "Internal Server Error".
fn in_words(text: &str) -> Option<u16> {
    let words = text.to_ascii_lowercase().replace(['_', ' ', '-'], "");
    let known: [(u16, &[&str]); 9] = [
        (
            402,
            &[
                "insufficientquota",
                "billing",
                "insufficientbalance",
                "nocredit",
                "insufficientcredit",
            ],
        ),
        (
            429,
            &[
                "ratelimit",
                "resourceexhausted",
                "toomanyrequests",
                "throttl",
                "quotaexceeded",
            ],
        ),
        (
            401,
            &[
                "apikey",
                "authentication",
                "unauthorized",
                "unauthenticated",
            ],
        ),
        (403, &["permission", "forbidden", "accessdenied"]),
        (404, &["notfound", "nosuchmodel"]),
        (
            400,
            &[
                "invalidrequest",
                "badrequest",
                "invalidargument",
                "validationerror",
                "contextlength",
                "unsupported",
            ],
        ),
        (503, &["overloaded", "unavailable", "overcapacity"]),
        (504, &["timeout", "timedout", "deadlineexceeded"]),
        (500, &["servererror", "internal", "apierror"]),
    ];
    let found = known
        .iter()
        .find(|(_, names)| names.iter().any(|n| words.contains(n)));
    found.map(|(status, _)| *status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_an_error_has_a_status() {
        for (body, status, said) in [
            (
                json!({"error": {"message": "slow down", "code": 429}}),
                429,
                "slow down",
            ),
            (
                json!({"error": {"message": "slow down", "type": "rate_limit_error"}}),
                429,
                "slow down",
            ),
            (
                json!({"error": {"message": "m", "code": "insufficient_quota"}}),
                402,
                "m",
            ),
            (
                json!({"error": {"message": "m", "code": "invalid_api_key"}}),
                401,
                "m",
            ),
            (
                json!({"error": "model is overloaded"}),
                503,
                "model is overloaded",
            ),
            (
                json!([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}]),
                429,
                "m",
            ),
            (
                json!({"error": {"message": "m", "status": "UNAUTHENTICATED"}}),
                401,
                "m",
            ),
            (
                json!({"choices": [{"error": {"code": 502, "message": "m"}, "message": {}}]}),
                502,
                "m",
            ),
            (json!({"detail": "Not Found"}), 404, "Not Found"),
            (
                json!({"detail": [{"loc": ["body", "seed"]}]}),
                500,
                r#"[{"loc":["body","seed"]}]"#,
            ),
            (json!({"message": "m", "code": 429}), 429, "m"),
            (
                json!({"object": "error", "message": "m", "type": "BadRequestError", "code": "400"}),
                400,
                "m",
            ),
            (
                json!({"statusCode": 401, "message": "Access denied"}),
                401,
                "Access denied",
            ),
            (
                json!({"success": false, "errors": [{"code": 7009, "message": "m"}]}),
                500,
                "m",
            ),
            (
                json!({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": null}),
                429,
                "rate limit",
            ),
            (json!({"error_code": 18, "error_msg": "qps"}), 500, "qps"),
        ] {
            let expected = Fault {
                status,
                said: said.into(),
            };
            assert_eq!(fault(&body), Some(expected), "{body}");
        }
        for body in [
            json!({"choices": [{"message": {"content": "x"}}], "error": null}),
            json!({"choices": [{"message": {"content": "x"}}], "error": ""}),
            json!({"message": {"role": "assistant", "content": "x"}, "done": true}),
            json!({"choices": []}),
            json!({"choices": [{"message": {"content": "x"}}], "base_resp": {"status_code": 0}}),
            json!("x"),
            json!([]),
        ] {
            assert_eq!(fault(&body), None, "{body}");
        }
    }
}
