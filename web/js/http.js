/*
 * http.js - requests to the gateway, and whether it can be reached.
 *
 * A server that restarts answers 503 or nothing at all.  Then the listeners of `connection` get "down" once, and "up"
 * when the first request is answered again.  A key or a token that the gateway asks for is kept in the tab.
 */

export const connection = new EventTarget();
let isUp = true;
let lostAt = 0;
let probe = null;

export const BASE = '/runtime/webhooks/durabletask';

export class HttpError extends Error {
	constructor(status, message, details = {}) {
		super(message);
		this.status = status;
		this.hint = details.Hint ?? null;
		this.sqlState = details.SqlState ?? null;
	}
	/** The server is away, or restarts: what was asked may work in a moment. */
	get isGone() { return this.status === 0 || ((this.status === 502 || this.status === 503) && !isUp); }
}

export const isConnected = () => isUp;

function went(up) {
	if (up === isUp)
		return;
	isUp = up;
	const away = up ? Date.now() - lostAt : 0;
	if (up) {
		clearInterval(probe);
		probe = null;
	} else {
		lostAt = Date.now();
		probe = setInterval(() => { if (!document.hidden) look(); }, 1000);
	}
	connection.dispatchEvent(new CustomEvent(up ? 'up' : 'down', { detail: { away } }));
}

/** Asks the gateway whether it has the database. */
export function look() {
	return fetch('/ready', { cache: 'no-store' }).then(r => went(r.ok), () => went(false));
}

function stored(name) {
	try { return sessionStorage.getItem(`durable.${name}`); } catch { return null; }
}

export function credentials(key, token) {
	for (const [name, value] of [['key', key], ['token', token]]) {
		if (value)
			sessionStorage.setItem(`durable.${name}`, value);
		else
			sessionStorage.removeItem(`durable.${name}`);
	}
}

function headersFor(hasBody) {
	const headers = {};
	const key = stored('key');
	const token = stored('token');
	if (hasBody)
		headers['Content-Type'] = 'application/json';
	if (key)
		headers['x-functions-key'] = key;
	if (token)
		headers.Authorization = `Bearer ${token}`;
	return headers;
}

/** The answer's text, status and headers; throws HttpError for statuses of 400 and more. */
export async function request(method, path, { body, timeout = 15000, signal } = {}) {
	let response;
	let text;
	// The gateway keeps a request while the server restarts, so an answer that takes long is a reason to ask.
	const suspicion = setTimeout(look, 700);
	try {
		const signals = [AbortSignal.timeout(timeout)];
		if (signal)
			signals.push(signal);
		response = await fetch(path, {
			method, cache: 'no-store', signal: AbortSignal.any ? AbortSignal.any(signals) : signals[0],
			headers: headersFor(body !== undefined), body: body === undefined ? undefined : JSON.stringify(body)
		});
		text = await response.text();
	} catch (error) {
		if (signal?.aborted)
			throw error;
		if (error.name !== 'TimeoutError')
			went(false);
		throw new HttpError(0, error.name === 'TimeoutError' ? 'The server has not answered in time.' : 'The server cannot be reached.');
	} finally {
		clearTimeout(suspicion);
	}
	// 503 may also be a statement that took too long, or a moment without resources.
	if (response.status === 502 || response.status === 503)
		await look();
	else
		went(true);
	if (response.status >= 400) {
		let details = {};
		if (response.headers.get('content-type')?.includes('json'))
			try { details = JSON.parse(text); } catch { /* it is no JSON, whatever it says */ }
		throw new HttpError(response.status, details.Message ?? (text.trim() || statusWords(response.status)), details);
	}
	return { status: response.status, headers: response.headers, text };
}

function statusWords(status) {
	switch (status) {
		case 401: return 'The server asks for a key or a token.';
		case 403: return 'You may not do that.';
		case 404: return 'There is no such thing.';
		case 410: return 'The instance has ended already.';
		default: return `The server has answered with status ${status}.`;
	}
}

export async function get(path, options) {
	const answer = await request('GET', path, options);
	return answer.text === '' ? null : JSON.parse(answer.text);
}

export async function post(path, body, options) {
	const answer = await request('POST', path, { ...options, body });
	return answer.text === '' ? null : JSON.parse(answer.text);
}

/** A path with parameters; those that are empty are left out. */
export function url(path, parameters = {}) {
	const query = new URLSearchParams();
	for (const [name, value] of Object.entries(parameters))
		if (value !== undefined && value !== null && value !== '' && value !== false)
			query.set(name, value);
	const text = query.toString();
	return text === '' ? path : `${path}?${text}`;
}

export const part = encodeURIComponent;

/**
 * Server-sent events, read with fetch so that a key or token can go along.  Continues after a loss where it was.  The
 * stream is closed while the tab is hidden.  A browser has six connections to a server for all its tabs, so at most
 * STREAMS tabs have a stream; the others ask: ask(last) returns the events after an id.
 */
const STREAMS = 3;

export function events(path, parameters, onEvent, ask) {
	let last = parameters.after ?? null;
	let controller = null;
	let ended = false;
	let running = false;

	async function run() {
		if (running)
			return;
		running = true;
		while (!ended && !document.hidden) {
			try {
				if (!await withSlot(0))
					for (const event of await ask(last)) {
						last = Math.max(last ?? 0, event.id);
						onEvent(event);
					}
			} catch { /* it is tried again below */ }
			if (!ended && !document.hidden)
				await new Promise(resolve => setTimeout(resolve, isUp ? 1000 : 500));
		}
		running = false;
	}

	/** Streams while it has one of the slots; false: there is none. */
	async function withSlot(n) {
		if (!navigator.locks)
			return streamed();
		if (n === STREAMS)
			return false;
		const done = await navigator.locks.request(`durable-stream-${n}`, { ifAvailable: true }, lock => lock ? streamed() : false);
		return done || withSlot(n + 1);
	}

	async function streamed() {
		controller = new AbortController();
		try {
			await stream(controller.signal);
		} catch { /* lost, or hidden */ }
		controller = null;
		return true;
	}

	async function stream(signal) {
		const response = await fetch(url(path, { ...parameters, after: last }), {
			signal, cache: 'no-store', headers: { ...headersFor(false), Accept: 'text/event-stream' }
		});
		if (!response.ok)
			throw new Error(String(response.status));
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		let rest = '';
		for (;;) {
			const { value, done } = await reader.read();
			if (done)
				return;
			rest += value;
			let end;
			while ((end = rest.indexOf('\n\n')) >= 0) {
				take(rest.slice(0, end));
				rest = rest.slice(end + 2);
			}
		}
	}

	function take(block) {
		let data = '';
		for (const line of block.split('\n')) {
			if (line.startsWith('id:'))
				last = line.slice(3).trim();
			else if (line.startsWith('data:'))
				data += line.slice(5).trimStart();
		}
		if (data !== '')
			onEvent(JSON.parse(data));
	}

	function visibility() {
		if (document.hidden)
			controller?.abort();
		else
			run();
	}
	document.addEventListener('visibilitychange', visibility);
	run();
	return {
		close() {
			ended = true;
			document.removeEventListener('visibilitychange', visibility);
			controller?.abort();
		}
	};
}

/**
 * Calls work() again and again, never twice at a time, and not while the tab is hidden.  now() calls it soon.  Waits
 * longer when the server is slow or away.
 */
export function poll(work, interval) {
	let timer = null;
	let running = false;
	let again = false;
	let stopped = false;

	async function run() {
		clearTimeout(timer);
		if (stopped)
			return;
		if (running) {
			again = true;
			return;
		}
		running = true;
		const begun = performance.now();
		try {
			if (!document.hidden)
				await work();
		} finally {
			running = false;
			const took = performance.now() - begun;
			timer = setTimeout(run, again ? 60 : Math.max(isUp ? interval : 1500, took * 4));
			again = false;
		}
	}
	const visible = () => { if (!document.hidden) run(); };
	document.addEventListener('visibilitychange', visible);
	connection.addEventListener('up', run);
	run();
	return {
		now: run,
		stop() {
			stopped = true;
			clearTimeout(timer);
			document.removeEventListener('visibilitychange', visible);
			connection.removeEventListener('up', run);
		}
	};
}
