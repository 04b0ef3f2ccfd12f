/*
 * format.js - durations, times and texts for people.
 */

/** 12 ms, 3.4 s, 2:05, 3 h 20 min, 5 d 2 h */
export function duration(ms) {
	if (ms === null || ms === undefined || Number.isNaN(ms))
		return '';
	if (ms < 0)
		return `-${duration(-ms)}`;
	if (ms < 1000)
		return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
	const s = ms / 1000;
	if (s < 60)
		return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
	if (s < 3600)
		return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
	if (s < 86400)
		return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

/** 1:42, 0:09 or 2:03:04: what a clock shows. */
export function clock(ms) {
	const s = Math.max(0, Math.ceil(ms / 1000));
	const two = n => String(n).padStart(2, '0');
	return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(Math.floor(s % 3600 / 60))}:${two(s % 60)}`;
}

/** The compute time of workflows, which is short. */
export function compute(ms) {
	if (ms === null || ms === undefined)
		return '';
	if (ms > 0 && ms < 0.1)
		return '< 0.1 ms';
	return ms < 1000 ? `${ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms` : duration(ms);
}

// Making a formatter takes longer than using it a hundred times.
const TIME = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const DATE = new Intl.DateTimeFormat([], { year: 'numeric', month: 'short', day: 'numeric' });
const NUMBER = new Intl.NumberFormat('en-US');

/** The time of day. */
export const timeOfDay = date => TIME.format(date);

/** The time of day, with the date unless it is today. */
export function at(iso) {
	if (!iso)
		return '';
	const t = new Date(iso);
	if (Number.isNaN(t.getTime()))
		return String(iso);
	return t.toDateString() === new Date().toDateString() ? TIME.format(t) : `${DATE.format(t)} ${TIME.format(t)}`;
}

export function count(n) {
	return NUMBER.format(n ?? 0);
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** public.sell is shown as sell: the schema is in the title. */
export const shortName = name => String(name ?? '').replace(/^.*\.(?=[^.]+$)/, '').replace(/^"(.*)"$/, '$1');

/** RunUserParallelWorkflow: places where it may be broken. */
export const breakable = text => String(text).replace(/([a-z])([A-Z])/g, '$1\u200b$2').replace(/([:/._-])/g, '$1\u200b');

/** A literal of SQL. */
export function literal(value) {
	if (value === null || value === undefined)
		return 'NULL';
	const text = String(value);
	return text.includes('\\') ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`.trim() : `'${text.replaceAll("'", "''")}'`;
}

/** A word of the shell. */
export const shellWord = text => /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`;

export function json(value, indent = 2) {
	return value === undefined || value === null ? 'null' : JSON.stringify(value, null, indent);
}
