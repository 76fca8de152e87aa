//! Who may ask, and what every answer's headers allow.
//!
//! The sandbox runs on somebody's own machine, where any web site they visit can send it requests. So:
//! - the host asked for must be an IP address or `localhost`: a name that was made to point here is somebody else's
//!   site (DNS rebinding);
//! - what changes something must come from our own page: `Sec-Fetch-Site`, and `Origin` where a browser is too old to
//!   send it (Fetch Metadata, W3C working draft 2025). A program that sends neither is not a browser.

use std::net::{IpAddr, Ipv6Addr};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Refusal;

const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut answer = match refusal(request.method(), request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = answer.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(PAGE_POLICY));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<Refusal> {
    let host = text(headers, header::HOST).unwrap_or_default();
    if !is_this_machine(host) {
        return Some(Refusal {
            status: StatusCode::MISDIRECTED_REQUEST,
            error: "Open the sandbox by its IP address, or as localhost.",
        });
    }
    let only_reads = matches!(*method, Method::GET | Method::HEAD);
    if only_reads || is_own_page(headers, host) {
        return None;
    }
    Some(Refusal {
        status: StatusCode::FORBIDDEN,
        error: "This came from another web site.",
    })
}

fn is_own_page(headers: &HeaderMap, host: &str) -> bool {
    if let Some(site) = text(headers, HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => origin
            .to_str()
            .is_ok_and(|origin| origin.strip_prefix("http://") == Some(host)),
    }
}

/// `localhost` or an IP address, with or without a port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
        || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, headers: &[(&'static str, &'static str)]) -> Option<u16> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        refusal(&method, &headers).map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn only_our_own_page_may_change_something() {
        let host = ("host", "127.0.0.1:8090");
        for (headers, expected) in [
            (vec![host, ("sec-fetch-site", "same-origin")], None),
            (vec![host, ("sec-fetch-site", "same-site")], Some(403)),
            (vec![host, ("sec-fetch-site", "cross-site")], Some(403)),
            (vec![host, ("sec-fetch-site", "none")], Some(403)),
            (vec![host, ("origin", "http://127.0.0.1:8090")], None),
            (vec![host, ("origin", "http://127.0.0.1:8080")], Some(403)),
            (vec![host, ("origin", "https://127.0.0.1:8090")], Some(403)),
            (vec![host, ("origin", "null")], Some(403)),
            (
                vec![
                    host,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://127.0.0.1:8090"),
                ],
                Some(403),
            ),
            (vec![host], None),
        ] {
            assert_eq!(status(Method::POST, &headers), expected, "{headers:?}");
            assert_eq!(status(Method::GET, &headers), None, "{headers:?}");
        }
    }

    #[test]
    fn a_name_that_was_made_to_point_here_is_refused() {
        for (host, expected) in [
            ("127.0.0.1:8090", None),
            ("[::1]:8090", None),
            ("[::1]", None),
            ("LocalHost:8090", None),
            ("192.168.1.20", None),
            ("rebound.example:8090", Some(421)),
            ("localhost.example", Some(421)),
            ("127.0.0.1.example", Some(421)),
            ("::1", Some(421)),
            ("", Some(421)),
        ] {
            assert_eq!(status(Method::GET, &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(Method::GET, &[]), Some(421));
    }
}
