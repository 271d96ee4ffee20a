//! Where a model's server may be: the administrator's base URL, and the addresses that are refused in any spelling.
//!
//! Link-local addresses and the metadata services of clouds hand out credentials to whoever asks from the right
//! machine. They are refused when the URL is read, and again when its name has been looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::error::{Error, Kind};

/// Metadata services that are not link-local, as most are: Alibaba Cloud's, Oracle's first one, Azure's host.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// Those over IPv6: Amazon's, Google's, Scaleway's.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// The address of an API, such as `https://api.openai.com/v1`: http or https, without user, query or final slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseUrl {
    text: String,
    host: String,
    authority: String,
}

impl BaseUrl {
    /// [`Kind::Malformed`], naming the URL and what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<BaseUrl, Error> {
        let text = text.trim().trim_end_matches('/');
        let no = |why: &str| Error::new(Kind::Malformed, format!("The base URL {:?} {why}", without_user(text)));
        let uri: Uri = text.parse().map_err(|_| no("is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(no("must begin with http:// or https://"));
        }
        let authority = uri.authority().ok_or_else(|| no("has no host"))?.as_str();
        if authority.contains('@') {
            return Err(no("must not contain a user name or password; set the API key instead"));
        }
        if text.contains(['?', '#']) {
            return Err(no("must not contain a query or a fragment"));
        }
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| no("has no host"))?;
        // Behind brackets some readers stop, and others go on.
        if !authority[host.len()..].is_empty() && !authority[host.len()..].starts_with(':') {
            return Err(no("is not a URL"));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match ip_of(&host) {
            Some(ip) if is_refused(ip) => {
                return Err(no("is a link-local or metadata address, which is never connected to"));
            }
            None if host.starts_with('[') => {
                return Err(no("has an IPv6 address that cannot be read"));
            }
            Some(_) | None => (),
        }
        Ok(BaseUrl {
            text: text.to_owned(),
            authority: authority.to_owned(),
            host,
        })
    }

    /// The address of one of its routes.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Host and port as written.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the server is on this machine, by its spelling.
    pub(super) fn is_loopback(&self) -> bool {
        let name = self.host.rsplit('.').next() == Some("localhost");
        name || ip_of(&self.host).is_some_and(|ip| ip.to_canonical().is_loopback())
    }
}

/// ureq's look-up without the refused addresses. Also spares a literal address the look-up, which costs a thread.
#[derive(Debug, Default)]
pub(super) struct GuardedResolver(DefaultResolver);

impl Resolver for GuardedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let port = uri
            .port_u16()
            .unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let found = match uri.host().and_then(ip_of) {
            Some(ip) => {
                let mut one = self.empty();
                one.push(SocketAddr::new(ip, port));
                one
            }
            None => self.0.resolve(uri, config, timeout)?,
        };
        allowed(&found)
    }
}

/// Those of a name's addresses that may be connected to.
fn allowed(found: &ResolvedSocketAddrs) -> Result<ResolvedSocketAddrs, ureq::Error> {
    let mut allowed = GuardedResolver::default().empty();
    for &address in found.iter().filter(|address| !is_refused(address.ip())) {
        allowed.push(address);
    }
    if allowed.is_empty() {
        return Err(ureq::Error::HostNotFound);
    }
    Ok(allowed)
}

/// The address that a host is, if it is not a name.
fn ip_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => ipv4_of(host).map(IpAddr::V4),
    }
}

/// Every spelling that `inet_aton` takes: `169.254.169.254`, `2852039166`, `0xa9fea9fe`, `0251.0376.43518`.
fn ipv4_of(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (&last, firsts) = parts.split_last()?;
    if firsts.len() > 3 || firsts.iter().any(|&part| part > 255) {
        return None;
    }
    let last_bits = 8 * (4 - u32::try_from(firsts.len()).ok()?);
    if u64::from(last) >= 1 << last_bits {
        return None;
    }
    let high = firsts.iter().fold(0, |bits, part| bits << 8 | u64::from(*part));
    u32::try_from(high << last_bits | u64::from(last))
        .ok()
        .map(Ipv4Addr::from)
}

/// A number as in C: decimal, `0x` hexadecimal or `0` octal.
fn number(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text.as_str(), 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

fn is_refused(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || METADATA_V6.contains(&v6)
                || embedded_v4(v6).is_some_and(|v4| is_refused(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address inside `::ffff:a.b.c.d`, `::a.b.c.d`, `::ffff:0:a.b.c.d` (RFC 2765), `64:ff9b::a.b.c.d` and
/// `64:ff9b:1::a.b.c.d` (NAT64, RFC 6052 and 8215), `2002:aabb:ccdd::` (6to4), `2001:0:…` (Teredo, RFC 4380: turned round)
/// or `…:0:5efe:a.b.c.d` (ISATAP, RFC 5214).
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let words = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match words {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0 | 1, _, _, _, high, low]
        | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

/// A URL for a message: without what stands before an `@`, which may be a password.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_pass() {
        for (text, joined, loopback) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1/models", false),
            (" http://127.0.0.1:11434/v1/ ", "http://127.0.0.1:11434/v1/models", true),
            ("http://localhost:1234", "http://localhost:1234/models", true),
            (
                "http://ollama.localhost./v1",
                "http://ollama.localhost./v1/models",
                true,
            ),
            ("http://[::1]:8080/v1", "http://[::1]:8080/v1/models", true),
            ("http://127.1/v1", "http://127.1/v1/models", true),
            (
                "http://[::ffff:127.0.0.1]/v1",
                "http://[::ffff:127.0.0.1]/v1/models",
                true,
            ),
            (
                "http://192.168.1.5:11434/v1",
                "http://192.168.1.5:11434/v1/models",
                false,
            ),
            ("http://169.254.example.com", "http://169.254.example.com/models", false),
        ] {
            let url = BaseUrl::parse(text).expect(text);
            assert_eq!(url.join("/models"), joined);
            assert_eq!(url.is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn metadata_addresses_are_refused_in_every_spelling() {
        for host in [
            "169.254.169.254",
            "169.254.0.1:8080",
            "169.254.169.254.",
            "2852039166",
            "0xA9FEA9FE",
            "0xa9.0xfe.0xa9.0xfe",
            "0251.0376.0251.0376",
            "169.254.43518",
            "169.16689662",
            "025177524776",
            "[fe80::1]",
            "[FEBF::1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::169.254.169.254]",
            "[64:ff9b::169.254.169.254]",
            "[2002:a9fe:a9fe::1]",
            "[fd00:ec2::254]",
            "[fd00:0ec2:0:0:0:0:0:0254]",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "[fd20:ce::254]",
            "[fd00:42::42]",
            // Other numbers of parts, other radices, mixed; leading zeros, capitals, dots and ports.
            "169.254.169.254:65535",
            "169.254.169.254.:80",
            "169.0xfea9fe",
            "0xa9.16689662",
            "169.0376.43518",
            "0XA9.0376.169.0xFE",
            "0xa9fea9fe.",
            "00000251.00000376.0251.0376",
            "0x000000a9fea9fe",
            "0xA9FE0000",
            "1684301000",
            "0x646464c8",
            "0xa83f8110",
            "[fe80::a9fe:a9fe]",
            "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff]",
            "[0000:0000:0000:0000:0000:ffff:a9fe:a9fe]",
            "[0:0:0:0:0:FFFF:169.254.169.254]",
            "[::FFFF:A9FE:0001]:8080",
            "[::ffff:0:169.254.169.254]",
            "[64:ff9b:1::169.254.169.254]",
            "[64:ff9b:1:a9fe:a9:fe00:a9fe:a9fe]",
            "[2002:a9fe:a9fe:1:2:3:4:5]",
            "[2001:0:4136:e378:8000:63bf:5601:5601]",
            "[2001:db8::5efe:169.254.169.254]",
            "[2001:db8::200:5efe:a9fe:a9fe]",
            "[::100.100.100.200]",
            "[::ffff:168.63.129.16]",
        ] {
            let error = BaseUrl::parse(&format!("http://{host}/latest")).expect_err(host);
            assert!(
                error.message().contains("never connected to"),
                "{host}: {}",
                error.message()
            );
            assert!(error.message().contains(host), "{host}: {}", error.message());
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused_by_name() {
        for (text, why) in [
            ("", "is not a URL"),
            ("localhost:11434", "must begin with"),
            ("/v1", "must begin with"),
            ("ftp://example.com", "must begin with"),
            ("file:///etc/passwd", ""),
            ("http://", ""),
            ("http://[fe80::1%25eth0]/", ""),
            ("http://user:secret@example.com/v1", "must not contain a user"),
            ("http://example.com/v1?key=x", "must not contain a query"),
            ("http://example.com/v1#x", "must not contain a query"),
            ("http://exa mple.com/", "is not a URL"),
            // What others might read as an address, or as another host.
            ("http://\u{ff11}\u{ff16}\u{ff19}.254.169.254/", "is not a URL"),
            ("http://\u{2460}69.254.169.254/", "is not a URL"),
            ("http://169\u{3002}254\u{3002}169\u{3002}254/", "is not a URL"),
            ("http://169\u{ff0e}254\u{ff0e}169\u{ff0e}254/", "is not a URL"),
            ("http://169.254.169.254\u{200b}/", "is not a URL"),
            ("http://%31%36%39.254.169.254/", "is not a URL"),
            ("http://169%2e254%2e169%2e254/", "is not a URL"),
            ("http://169.254.169.254%00.example.com/", "is not a URL"),
            ("http://169.254.169.254\\@example.com/", ""),
            ("http://example.com\\@169.254.169.254/", ""),
            ("http://example.com@169.254.169.254/", "must not contain a user"),
            ("http://169.254.169.254@example.com/", "must not contain a user"),
            ("http://example.com:80@169.254.169.254/", "must not contain a user"),
            ("http://example.com#@169.254.169.254/", ""),
            ("http://[::ffff:169.254.169.254", ""),
            ("http://[::1]169.254.169.254/", ""),
            ("http://[fe80::1%eth0]/", ""),
            ("http://exam\tple.com/", ""),
            ("http://exam\r\nple.com/", ""),
            ("gopher://169.254.169.254/", "must begin with"),
            ("//169.254.169.254/", "must begin with"),
            ("http:169.254.169.254/", ""),
            ("http:/169.254.169.254/", ""),
        ] {
            let error = BaseUrl::parse(text).expect_err(text);
            assert!(error.message().contains(why), "{text}: {}", error.message());
            assert!(!error.message().contains("secret"));
        }
    }

    /// Names are looked up after all is read: what they lead to is what counts, and what is refused is left out.
    #[test]
    fn what_a_name_leads_to_is_looked_at() {
        let resolve = |host: &str| {
            let uri: Uri = format!("http://{host}/v1").parse().expect(host);
            GuardedResolver::default().resolve(&uri, &Config::default(), NextTimeout::default())
        };
        for host in ["0xa9fea9fe", "[::ffff:a9fe:a9fe]:80", "[fe80::1]", "1684301000"] {
            let found = resolve(host);
            assert!(matches!(found, Err(ureq::Error::HostNotFound)), "{host}: {found:?}");
        }
        resolve("localhost:1").unwrap();
        resolve("127.1:1").unwrap();
        // As a name server would answer that mixes good addresses and bad ones.
        let all = [
            "127.0.0.1",
            "169.254.169.254",
            "::1",
            "fe80::1",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "10.0.0.1",
        ];
        let all = all.map(|ip| SocketAddr::new(ip.parse().expect(ip), 1));
        let mut found = GuardedResolver::default().empty();
        all.iter().for_each(|address| found.push(*address));
        let allowed = allowed(&found).unwrap();
        assert_eq!(allowed[..], [all[0], all[2], all[6]]);
        let mut bad = GuardedResolver::default().empty();
        bad.push(all[1]);
        assert!(matches!(self::allowed(&bad), Err(ureq::Error::HostNotFound)));
    }
}
