//! When each value was last read.

use std::sync::Arc;

use downcity_db::sql;

use super::{EnvValues, Slot};
use crate::Clock;
use crate::last_use::Uses;

/// The last reads of the values of a node.
pub(crate) fn uses(clock: Arc<dyn Clock>) -> Uses {
    Uses::new(
        clock,
        sql!(
            "INSERT INTO env_reads (key, last_read_at) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET last_read_at = excluded.last_read_at
             WHERE env_reads.last_read_at < excluded.last_read_at"
        ),
        sql!("SELECT key, last_read_at FROM env_reads"),
    )
}

/// Notes reads of these values from now on.
pub(crate) fn follow(reads: &Arc<Uses>, values: &mut EnvValues) {
    for (key, entry) in &mut values.entries {
        entry.read = Some(reads.of(key));
    }
    for (city_id, city) in &mut values.cities {
        // Nobody else holds values that are being loaded.
        let Some(city) = Arc::get_mut(city) else { continue };
        for (key, entry) in &mut city.entries {
            entry.read = Some(reads.of(Slot::city(city_id, key.as_str()).id()));
        }
    }
    values.reads = Some(reads.clone());
}
