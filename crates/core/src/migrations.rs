//! The kernel's own tables.

use downcity_db::{MigrationSet, migrations};

/// Cities, env vault, revocations, idempotency records, jobs, service keys, signing keys, the audit
/// trail and shared limits.
pub(crate) fn migrations() -> MigrationSet {
    migrations!(
        "core",
        [
            (1, "cities", "../migrations/0001_cities.sql"),
            (2, "env", "../migrations/0002_env.sql"),
            (3, "jobs", "../migrations/0003_jobs.sql"),
            (4, "keys", "../migrations/0004_keys.sql"),
            (5, "tokens", "../migrations/0005_tokens.sql"),
            (6, "env_reads", "../migrations/0006_env_reads.sql"),
            (
                7,
                "audit",
                {
                    both: "../migrations/0007_audit.sql",
                    sqlite: "../migrations/0007_audit_sqlite.sql",
                    postgres: "../migrations/0007_audit_postgres.sql",
                }
            ),
            (8, "limits", "../migrations/0008_limits.sql"),
            (9, "service_key_amounts", "../migrations/0009_service_key_amounts.sql"),
            (10, "city_env", "../migrations/0010_city_env.sql")
        ]
    )
}
