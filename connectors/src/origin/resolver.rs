//! Resolves names to addresses that may be called. The client connects to these and asks no second time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::networks::Networks;

/// The largest number of addresses of one name.
const MOST_ADDRESSES: usize = 16;

/// The resolver of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Addrs = Box::new(found.collect::<Vec<_>>().into_iter());
            Ok(found)
        })
    }
}

/// No address of a name may be called.
#[derive(Debug, thiserror::Error)]
#[error("the address {0} may not be called")]
pub(super) struct RefusedAddress(pub(super) IpAddr);

/// A resolver that gives only addresses that may be called.
pub(super) struct CheckedResolver {
    names: Arc<dyn Resolve>,
    networks: Arc<Networks>,
}

impl CheckedResolver {
    pub(super) fn new(names: Arc<dyn Resolve>, networks: Arc<Networks>) -> Self {
        Self { names, networks }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolving, networks) = (self.names.resolve(name), Arc::clone(&self.networks));
        Box::pin(async move {
            let found: Vec<SocketAddr> = resolving.await?.take(MOST_ADDRESSES).collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|address| networks.allow(address.ip())).collect();
            if let (true, Some(refused)) = (allowed.is_empty(), found.first()) {
                return Err(RefusedAddress(refused.ip()).into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}
