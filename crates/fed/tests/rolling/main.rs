//! Three nodes on one PostgreSQL behind a balancer that follows `/readyz`: each is restarted in turn
//! under a mixed load, and no request fails.

#[cfg(test)]
mod balancer;
#[cfg(test)]
#[path = "../durability/http.rs"]
mod http;
#[cfg(test)]
mod load;
#[cfg(test)]
mod node;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod upstream;
