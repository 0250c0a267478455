/** Times that others wrote, for people: any number may stand there, and only some are dates. */

/** The last moment that a date can name; the first is as far the other way. */
const lastMs = 8.64e15

/** A time as ISO 8601, `2026-01-31T12:00:00.000Z`; what is before or after all dates is shown as the first or the last. */
export function isoTime(ms: number): string {
  return new Date(Math.min(lastMs, Math.max(-lastMs, ms))).toISOString()
}
