//! Addresses and blocks of addresses as people write them.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One address (`192.0.2.1`), or a block of them in CIDR notation (`10.0.0.0/8`, `fd00::/8`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock(IpNet);

impl AddressBlock {
    /// The block.
    pub const fn get(self) -> IpNet {
        self.0
    }
}

impl FromStr for AddressBlock {
    type Err = String;

    /// A block that names an address within itself (`10.0.0.1/8`) is refused: either the address or
    /// the length is a slip.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(IpNet::from(address.to_canonical())));
        }
        let block: IpNet = text.parse().map_err(|_| {
            format!(
                "{text:?} must be an address, or a block such as \"10.0.0.0/8\" or \"fd00::/8\""
            )
        })?;
        if block.trunc() != block {
            return Err(format!("{text:?} is an address within the block \"{}\"", block.trunc()));
        }
        // Clients are compared by their address of IPv4, which no block of this form would hold.
        if let IpNet::V6(mapped) = block
            && mapped.addr().to_ipv4_mapped().is_some()
        {
            return Err(format!("{text:?} must be written as a block of IPv4"));
        }
        Ok(Self(block))
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            return self.0.addr().fmt(out);
        }
        self.0.fmt(out)
    }
}

impl<'de> Deserialize<'de> for AddressBlock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for AddressBlock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for AddressBlock {
    fn schema_name() -> Cow<'static, str> {
        "AddressBlock".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "cidr" })
    }
}

#[cfg(test)]
mod tests {
    use super::AddressBlock;

    #[test]
    fn addresses_and_blocks_are_read_and_written() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<AddressBlock>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn slips_are_refused_with_what_was_meant() {
        for (text, part) in [
            ("10.0.0.1/8", "within the block \"10.0.0.0/8\""),
            ("fd00::1/64", "within the block \"fd00::/64\""),
            ("10.0.0.0/33", "must be an address"),
            ("10.0.0/8", "must be an address"),
            ("localhost", "must be an address"),
            ("", "must be an address"),
            ("::ffff:10.0.0.0/104", "block of IPv4"),
        ] {
            let problem = text.parse::<AddressBlock>().unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }
}
