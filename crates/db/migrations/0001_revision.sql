-- One row: the revision of the state that nodes keep in memory. Every change of that state adds one.
CREATE TABLE db_revision (
    id BIGINT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO db_revision (id, value) VALUES (1, 0);
