-- The table of R 3. Numbers and what was found are plain: the peer seals nothing and keeps no audit.
CREATE TABLE unzr_info (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    unzr text NOT NULL UNIQUE,
    job_status text NOT NULL,
    info jsonb,
    synced_at timestamptz,
    inserted_at timestamptz NOT NULL DEFAULT now(),
    inserted_by uuid NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by uuid NOT NULL
);
