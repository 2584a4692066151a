-- A session that has ended stays as it ended. Only from where it came may be forgotten, when its user is erased.
DROP TRIGGER ended_stays_ended ON access.sessions;
CREATE TRIGGER ended_stays_ended BEFORE UPDATE ON access.sessions FOR EACH ROW
    WHEN (OLD.ended_at IS NOT NULL
          AND ((NEW.tenant_id, NEW.id, NEW.user_id, NEW.methods, NEW.created_at, NEW.last_used_at, NEW.expires_at,
                NEW.ended_at, NEW.ended_reason)
               IS DISTINCT FROM (OLD.tenant_id, OLD.id, OLD.user_id, OLD.methods, OLD.created_at, OLD.last_used_at,
                                 OLD.expires_at, OLD.ended_at, OLD.ended_reason)
               OR NEW.address IS NOT NULL OR NEW.user_agent IS NOT NULL))
    EXECUTE FUNCTION access.keep_ended('the session');
