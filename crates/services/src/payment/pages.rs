//! The pages that a checkout leads back to. They prove nothing: what was paid is told by the provider alone.

use downcity_core::Reply;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};

/// Statuses in the address with which Dodo Payments leads back after a success.
const SUCCEEDED: [&str; 2] = ["succeeded", "success"];

/// The page after a checkout.
pub(super) fn success(query: Option<&str>) -> Reply {
    let query = query.unwrap_or_default().as_bytes();
    let status = form_urlencoded::parse(query).find(|(name, _)| name == "status");
    match status {
        Some((_, status)) if !SUCCEEDED.contains(&&*status) => page(
            "Payment not completed",
            "The payment was not completed. Nothing has been credited; you can try again.",
        ),
        _ => page(
            "Payment completed",
            "Thank you. Your payment is being confirmed; your credits arrive as soon as the provider \
             has confirmed it.",
        ),
    }
}

/// The page after a checkout that was left.
pub(super) fn canceled() -> Reply {
    page("Payment canceled", "The checkout was left. Nothing has been paid.")
}

fn page(title: &str, text: &str) -> Reply {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n\
         <body style=\"font-family: system-ui, sans-serif; max-width: 32em; margin: 4em auto; padding: 0 1em\">\n\
         <h1>{title}</h1>\n<p>{text}</p>\n<p><a href=\"/\">Back</a></p>\n</body>\n</html>\n"
    );
    Reply::typed(HeaderValue::from_static("text/html; charset=utf-8"), html)
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with_header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
        .with_header(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(reply: Reply) -> String {
        match reply.body {
            downcity_core::Body::Full(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_claims_no_more_than_the_address_says() {
        for query in [None, Some(""), Some("payment_id=1&status=succeeded")] {
            assert!(text(success(query)).contains("Payment completed"), "{query:?}");
        }
        let failed = text(success(Some("payment_id=1&status=failed")));
        assert!(failed.contains("not completed") && !failed.contains("Payment completed"));
        assert!(text(canceled()).contains("Payment canceled"));
        assert!(!text(success(Some("status=<script>"))).contains("<script>"));
    }
}
