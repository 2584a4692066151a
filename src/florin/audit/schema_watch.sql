-- Records every change of the schema in audit.schema_changes. To be run once, by a superuser, in Florin's database:
-- PostgreSQL lets nobody else make event triggers. What it makes belongs to that superuser, so florin_owner,
-- who may change the schema, can neither alter it nor take it away.
CREATE SCHEMA IF NOT EXISTS schema_watch;
REVOKE ALL ON SCHEMA schema_watch FROM PUBLIC;

-- The beginning of a statement without its literals and comments: passwords, keys and names of people stand there.
-- Alternatives in order: a quoted identifier (kept), a comment of a line, of a block, a dollar-quoted text and what
-- follows it, a text with escapes, a plain text; each also where the 4,000 characters cut it off. Comments can be
-- nested, which no expression follows: with a second one the text ends at the first.
CREATE OR REPLACE FUNCTION schema_watch.without_literals(p_statement text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
RETURN left(trim(regexp_replace(regexp_replace(
    left(CASE WHEN p_statement LIKE '%/*%/*%' THEN split_part(p_statement, '/*', 1) ELSE p_statement END, 4000),
    $re$("(?:[^"]|"")*(?:"|$))|--[^\n]*|/\*(?:[^*]|\*+[^*/])*(?:\*+/|\**$)|\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$.*|\m[eE]'(?:[^'\\]|''|\\.)*(?:'|$)|'(?:[^']|'')*(?:'|$)$re$,
    '\1', 'g'), '\s+', ' ', 'g')), 1000);

CREATE OR REPLACE FUNCTION schema_watch.record_change() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_statement  text := schema_watch.without_literals(current_query());
BEGIN
    IF tg_event = 'ddl_command_end' THEN
        INSERT INTO audit.schema_changes
            (id, at, login, role, application, address, command, object_type, object, statement, reason)
        SELECT kernel.uuidv7(), clock_timestamp(), session_user,
               coalesce(nullif(current_setting('role', true), 'none'), session_user),
               nullif(current_setting('application_name', true), ''), host(inet_client_addr()),
               c.command_tag, c.object_type, c.object_identity, v_statement, nullif(current_setting('app.reason', true), '')
        FROM pg_event_trigger_ddl_commands() c
        WHERE c.schema_name IS DISTINCT FROM 'pg_temp' AND NOT c.in_extension;
    ELSE
        INSERT INTO audit.schema_changes
            (id, at, login, role, application, address, command, object_type, object, statement, reason)
        SELECT kernel.uuidv7(), clock_timestamp(), session_user,
               coalesce(nullif(current_setting('role', true), 'none'), session_user),
               nullif(current_setting('application_name', true), ''), host(inet_client_addr()),
               tg_tag, d.object_type, d.object_identity, v_statement, nullif(current_setting('app.reason', true), '')
        FROM pg_event_trigger_dropped_objects() d
        WHERE d.original AND NOT d.is_temporary;
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION schema_watch.without_literals(text), schema_watch.record_change() FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS florin_schema_changed;
DROP EVENT TRIGGER IF EXISTS florin_schema_dropped;
CREATE EVENT TRIGGER florin_schema_changed ON ddl_command_end EXECUTE FUNCTION schema_watch.record_change();
CREATE EVENT TRIGGER florin_schema_dropped ON sql_drop EXECUTE FUNCTION schema_watch.record_change();
-- Also where a session says that it replicates.
ALTER EVENT TRIGGER florin_schema_changed ENABLE ALWAYS;
ALTER EVENT TRIGGER florin_schema_dropped ENABLE ALWAYS;
