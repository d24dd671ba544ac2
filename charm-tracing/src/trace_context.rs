//! Positions in traces as text: W3C Trace Context (<https://www.w3.org/TR/trace-context/>), which
//! Juju hands to a charm and a charm to its children. Pure.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Reads a `traceparent`, of any version that the specification knows or may come to know; `None`
/// where it is malformed.
pub(crate) fn parse_traceparent(text: &str) -> Option<SpanContext> {
    let mut fields = text.trim().split('-');
    let version = hexadecimal(fields.next()?, 2)?;
    let (trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
    let flags = u8::from_str_radix(hexadecimal(flags, 2)?, 16).ok()?;
    // A later version may carry more fields; version `ff` is invalid.
    let complete = version != "ff" && (version != "00" || fields.next().is_none());
    complete.then(|| remote(trace, span, flags))?
}

/// A position given by its parts, in lower-case hexadecimal digits.
pub(crate) fn remote(trace: &str, span: &str, flags: u8) -> Option<SpanContext> {
    let trace = TraceId::from_hex(hexadecimal(trace, 32)?).ok()?;
    let span = SpanId::from_hex(hexadecimal(span, 16)?).ok()?;
    let context = SpanContext::new(trace, span, TraceFlags::new(flags), true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// The position with its vendors' state, which stands in a variable of its own; a malformed one is
/// absent.
pub(crate) fn with_state(context: &SpanContext, state: Option<&str>) -> SpanContext {
    let state = state.and_then(|state| state.parse().ok()).unwrap_or_default();
    let (trace, span) = (context.trace_id(), context.span_id());
    SpanContext::new(trace, span, context.trace_flags(), context.is_remote(), state)
}

/// The position as a `traceparent`.
pub(crate) fn traceparent(context: &SpanContext) -> String {
    let (trace, span) = (context.trace_id(), context.span_id());
    format!("00-{trace}-{span}-{:02x}", context.trace_flags().to_u8())
}

/// The field itself if it is `digits` lower-case hexadecimal digits.
fn hexadecimal(field: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (field.len() == digits && field.bytes().all(is_digit)).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";

    #[test]
    fn traceparent_is_read_as_w3c_says() {
        for (text, flags) in [
            (format!("00-{IDS}-01"), Some(1)),
            (format!(" 00-{IDS}-00\n"), Some(0)),
            (format!("01-{IDS}-01-more"), Some(1)),
            (format!("00-{IDS}-01-more"), None),
            (format!("ff-{IDS}-01"), None),
            (format!("00-{}-01", IDS.to_uppercase()), None),
            (format!("00-{IDS}"), None),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01".into(), None),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01".into(), None),
            ("rubbish".into(), None),
            (String::new(), None),
        ] {
            let read = parse_traceparent(&text).map(|context| context.trace_flags().to_u8());
            assert_eq!(read, flags, "{text}");
        }
    }

    #[test]
    fn what_is_read_is_written_again() {
        let text = format!("00-{IDS}-01");
        assert_eq!(traceparent(&parse_traceparent(&text).unwrap()), text);
    }

    #[test]
    fn malformed_state_is_absent() {
        let context = parse_traceparent(&format!("00-{IDS}-01")).unwrap();
        let state = |text| with_state(&context, text).trace_state().header();
        assert_eq!(state(Some("vendor=1,other=2")), "vendor=1,other=2");
        assert_eq!(state(Some("no value")), "");
        assert_eq!(state(None), "");
    }
}
