-- What holds of users, roles and assignments whoever writes them.

-- A user's states, as florin.access.people.model has them. Who a user is, and whose, does not change.
CREATE FUNCTION access.keep_user() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF (NEW.person_id, NEW.created_at, NEW.created_by) IS DISTINCT FROM (OLD.person_id, OLD.created_at, OLD.created_by)
       OR NEW.partner_id IS DISTINCT FROM OLD.partner_id THEN
        RAISE EXCEPTION 'whose user % is does not change', OLD.id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'users_stay_whose_they_are';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('INVITED', 'ACTIVE'), ('INVITED', 'DELETED'),
        ('ACTIVE', 'SUSPENDED'), ('ACTIVE', 'DELETED'),
        ('SUSPENDED', 'ACTIVE'), ('SUSPENDED', 'DELETED')
    ) THEN
        RAISE EXCEPTION 'user % is %, and cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'users_status_moves';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER kept BEFORE UPDATE ON access.users FOR EACH ROW EXECUTE FUNCTION access.keep_user();

-- A tenant's own role has a code of its own, and nothing of the platform's unless the tenant is PLATFORM.
CREATE FUNCTION access.keep_role() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM reference.roles r WHERE r.code = NEW.code) THEN
        RAISE EXCEPTION '% is a built-in role', NEW.code
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'roles_code_key';
    END IF;
    IF EXISTS (SELECT FROM unnest(NEW.permissions) AS p (permission) WHERE p.permission LIKE 'platform:%')
       AND NOT access.is_platform(NEW.tenant_id) THEN
        RAISE EXCEPTION 'tenant % does not run the platform', NEW.tenant_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'roles_of_the_platform';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER kept BEFORE INSERT OR UPDATE OF code, permissions ON access.roles
    FOR EACH ROW EXECUTE FUNCTION access.keep_role();
REVOKE UPDATE ON access.roles FROM florin_app;
GRANT UPDATE (name, description, permissions, updated_at, deleted_at) ON access.roles TO florin_app;

-- An assignment is ended once and otherwise never changed; a platform role is for users of the tenant PLATFORM.
CREATE FUNCTION access.keep_assignment() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.ended_at IS NOT NULL THEN
            RAISE EXCEPTION 'assignment % has ended', OLD.id
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'assignments_end_once';
        END IF;
    ELSIF EXISTS (SELECT FROM reference.roles r WHERE r.code = NEW.built_in AND r.platform)
          AND NOT access.is_platform(NEW.tenant_id) THEN
        RAISE EXCEPTION 'tenant % does not run the platform', NEW.tenant_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'assignments_of_the_platform';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER kept BEFORE INSERT OR UPDATE ON access.assignments
    FOR EACH ROW EXECUTE FUNCTION access.keep_assignment();
REVOKE UPDATE ON access.assignments FROM florin_app;
GRANT UPDATE (ended_at, ended_by) ON access.assignments TO florin_app;

CREATE INDEX users_by_partner ON access.users (tenant_id, partner_id, id) WHERE partner_id IS NOT NULL;
CREATE INDEX assignments_by_built_in ON access.assignments (tenant_id, built_in)
    WHERE built_in IS NOT NULL AND ended_at IS NULL;
CREATE INDEX assignments_by_unit ON access.assignments (tenant_id, business_unit_id)
    WHERE business_unit_id IS NOT NULL AND ended_at IS NULL;
