//! Documents: pure functions of the registry (and, where they show settings, of the snapshot).
