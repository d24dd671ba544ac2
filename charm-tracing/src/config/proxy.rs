//! Which proxy requests go through: the charm's own settings in Juju's model, else the usual
//! variables.
//!
//! `NO_PROXY` has no specification; what is understood here is what curl and Go understand: host
//! names with their subdomains, addresses, networks in CIDR form, `*`, each with an optional port.

use std::net::IpAddr;

use http::Uri;

use crate::juju::Environment;

/// The URL of the proxy for requests to `url`; none for this machine itself.
pub(super) fn for_url(url: &Uri, environment: &Environment) -> Option<String> {
    let host = url.host()?.trim_matches(['[', ']']);
    let https = url.scheme_str() == Some("https");
    let port = url.port_u16().unwrap_or(if https { 443 } else { 80 });
    let first = |names: [&str; 3]| names.into_iter().find_map(|name| environment.variable(name));
    let proxy = if https {
        first(["JUJU_CHARM_HTTPS_PROXY", "https_proxy", "HTTPS_PROXY"])
    } else {
        first(["JUJU_CHARM_HTTP_PROXY", "http_proxy", "HTTP_PROXY"])
    };
    let except = first(["JUJU_CHARM_NO_PROXY", "no_proxy", "NO_PROXY"]).unwrap_or_default();
    let excepted = is_this_machine(host) || entries(except).any(|entry| matches(entry, host, port));
    proxy.filter(|_| !excepted).map(str::to_owned)
}

fn is_this_machine(host: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', ' ']).filter(|entry| !entry.is_empty())
}

fn matches(entry: &str, host: &str, port: u16) -> bool {
    let (name, wanted_port) = split_port(entry);
    if wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    match host.parse() {
        Ok(address) => name == "*" || network_contains(name, address),
        Err(_) => name == "*" || is_in_domain(host, name),
    }
}

/// `host:port` and `[::1]:port`; a bare IPv6 address has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let bracketed = entry.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((address, rest)) = bracketed {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (entry, None),
    }
}

/// `example.com`, `.example.com` and `*.example.com` all stand for the domain and what is below it.
fn is_in_domain(host: &str, domain: &str) -> bool {
    let domain = domain.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    !domain.is_empty()
        && host.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether `address` is the address, or in the network, that `text` names.
fn network_contains(text: &str, address: IpAddr) -> bool {
    let (network, length) = match text.split_once('/') {
        Some((network, length)) => (network, length.parse().ok()),
        None => (text, Some(u32::MAX)),
    };
    let (Ok(network), Some(length)) = (network.parse(), length) else { return false };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            same_prefix(network.to_bits().into(), address.to_bits().into(), 32, length)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            same_prefix(network.to_bits(), address.to_bits(), 128, length)
        }
        _ => false,
    }
}

fn same_prefix(one: u128, other: u128, width: u32, length: u32) -> bool {
    let rest = width - length.min(width);
    one.checked_shr(rest).unwrap_or(0) == other.checked_shr(rest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, pairs: &[(&str, &str)]) -> Option<String> {
        for_url(&url.parse().unwrap(), &Environment::from_pairs(pairs.iter().copied()))
    }

    #[test]
    fn jujus_setting_outranks_the_usual_ones_and_fits_the_scheme() {
        let all = [
            ("JUJU_CHARM_HTTP_PROXY", "http://juju:1"),
            ("http_proxy", "http://lower:1"),
            ("HTTP_PROXY", "http://upper:1"),
            ("HTTPS_PROXY", "http://secure:1"),
        ];
        assert_eq!(proxy("http://tempo", &all).as_deref(), Some("http://juju:1"));
        assert_eq!(proxy("http://tempo", &all[1..]).as_deref(), Some("http://lower:1"));
        assert_eq!(proxy("http://tempo", &all[2..]).as_deref(), Some("http://upper:1"));
        assert_eq!(proxy("https://tempo", &all).as_deref(), Some("http://secure:1"));
        assert_eq!(proxy("http://tempo", &[("JUJU_CHARM_HTTP_PROXY", "")]), None);
    }

    #[test]
    fn this_machine_is_never_asked_through_a_proxy() {
        let set = [("HTTP_PROXY", "http://proxy:1")];
        for url in
            ["http://localhost:4318", "http://127.0.0.1", "http://127.8.8.8", "http://[::1]:1"]
        {
            assert_eq!(proxy(url, &set), None, "{url}");
        }
    }

    #[test]
    fn no_proxy_is_understood_as_curl_and_go_do() {
        for (except, url, proxied) in [
            ("example.com", "http://example.com", false),
            ("example.com", "http://tempo.Example.com", false),
            (".example.com", "http://tempo.example.com:4318", false),
            ("*.example.com", "http://tempo.example.com", false),
            ("example.com", "http://notexample.com", true),
            ("other, example.com", "http://example.com", false),
            ("example.com:4318", "http://example.com:4318", false),
            ("example.com:4318", "http://example.com", true),
            ("*", "http://10.0.0.1", false),
            ("10.0.0.0/8", "http://10.1.2.3:4318", false),
            ("10.0.0.0/8", "http://11.1.2.3", true),
            ("0.0.0.0/0", "http://11.1.2.3", false),
            ("10.1.2.3", "http://10.1.2.3", false),
            ("10.1.2.3:80", "http://10.1.2.3", false),
            ("fd00::/8", "http://[fd12::1]:4318", false),
            ("[fd12::1]:4318", "http://[fd12::1]:4318", false),
            ("fd12::1", "http://[fd12::2]", true),
            ("10.0.0.0/99", "http://10.0.0.1", true),
            ("/, :, ::/x", "http://10.0.0.1", true),
        ] {
            let pairs = [("HTTP_PROXY", "http://proxy:1"), ("NO_PROXY", except)];
            assert_eq!(proxy(url, &pairs).is_some(), proxied, "{except} {url}");
        }
    }
}
