/*
 * shell.js - the frame of every page: navigation, theme, the banner when the server is away, messages, shortcuts.
 */
import { find, h, icon, put, svg } from './dom.js';
import { connection, credentials, get, HttpError, isConnected } from './http.js';
import { duration } from './format.js';

const PAGES = [
	['/play', 'Play', 'p'], ['/workflows', 'Workflows', 'w'], ['/schedules', 'Schedules', 's'], ['/queues', 'Queues', 'q'],
	['/entities', 'Entities', 'e'], ['/workers', 'Workers', 'h'], ['/console', 'Console', 'c']
];

const SHORTCUTS = [
	...PAGES.map(([, name, key]) => [`g ${key}`, `Go to ${name}`]),
	['/', 'Search, or the command line of the game'],
	['?', 'Show this list'],
	['Esc', 'Close a dialog, leave a field']
];

/** Builds the frame.  extra: more shortcuts for the list, as [keys, what they do]. */
export function shell({ extra = [] } = {}) {
	const here = `/${location.pathname.split('/')[1]}`;
	put(find('#top'), h('div', { class: 'top-in' },
		h('a', { class: 'brand', href: '/play', 'aria-label': 'Durable: the game' }, logo(), h('span', {}, 'Durable')),
		h('nav', { class: 'nav', 'aria-label': 'Pages' },
			PAGES.map(([href, name]) => h('a', { href, 'aria-current': href === here ? 'page' : null }, name))),
		h('div', { class: 'top-tools' },
			h('button', { class: 'quiet square', type: 'button', 'aria-label': 'Keyboard shortcuts', title: 'Keyboard shortcuts (?)', onclick: () => showShortcuts(extra) }, icon('help')),
			themeButton())));
	find('.nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
	banner();
	document.body.append(h('div', { class: 'toasts', id: 'toasts', role: 'status', 'aria-live': 'polite' }));
	keys(extra);
}

function logo() {
	return svg('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true', fill: 'none', stroke: 'currentColor', 'stroke-width': 2, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' },
		svg('path', { d: 'M5 20V10.5a7 7 0 0 1 14 0V20M5 14.5h14M12 3.5V20' }));
}

/* --- theme ---------------------------------------------------------------------------------------------------------- */

function themeButton() {
	const button = h('button', { class: 'quiet square', type: 'button', onclick: flip });
	const draw = () => {
		const dark = document.documentElement.dataset.theme === 'dark';
		button.setAttribute('aria-label', dark ? 'Use the light theme' : 'Use the dark theme');
		button.title = button.getAttribute('aria-label');
		put(button, icon(dark ? 'sun' : 'moon'));
	};
	function flip() {
		const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
		try { localStorage.setItem('durable.theme', next); } catch { /* storage is off */ }
		window.dispatchEvent(new Event('durable-theme'));
		document.documentElement.dataset.theme = next;
		draw();
	}
	new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ['data-theme'] });
	draw();
	return button;
}

/* --- the banner ----------------------------------------------------------------------------------------------------- */

function banner() {
	const element = h('div', { class: 'gone', role: 'alert', hidden: true });
	find('#top').after(element);
	let clearing = null;
	const down = () => {
		clearTimeout(clearing);
		element.className = 'gone';
		element.textContent = 'The server is gone. This page waits for it; all workflows are in its tables.';
		element.hidden = false;
	};
	connection.addEventListener('down', down);
	connection.addEventListener('up', event => {
		element.className = 'gone back';
		element.textContent = `The server is back after ${duration(event.detail.away)}. Nothing is lost.`;
		element.hidden = false;
		clearing = setTimeout(() => { element.hidden = true; }, 6000);
	});
	if (!isConnected())
		down();
}

/* --- messages ------------------------------------------------------------------------------------------------------- */

export function toast(message, bad = false) {
	const element = h('div', { class: bad ? 'toast bad' : 'toast' }, icon(bad ? 'alert' : 'check'), h('span', {}, message),
		h('button', { type: 'button', 'aria-label': 'Close the message', onclick: () => element.remove() }, icon('cross')));
	find('#toasts').append(element);
	while (find('#toasts').children.length > 3)
		find('#toasts').firstElementChild.remove();
	setTimeout(() => element.remove(), bad ? 12000 : 5000);
}

/** What went wrong, for people.  The loss of the server is told by the banner. */
export function complain(error) {
	if (error instanceof HttpError && error.isGone)
		return;
	if (error instanceof HttpError && error.status === 401) {
		askForCredentials();
		return;
	}
	toast(error.hint ? `${error.message} ${error.hint}` : error.message, true);
}

/** An area that cannot show what it should. */
export function failure(error, again) {
	if (error instanceof HttpError && error.status === 401)
		askForCredentials();
	const gone = error instanceof HttpError && error.isGone;
	const forbidden = error instanceof HttpError && error.status === 403;
	return h('div', { class: 'empty' }, icon('alert'),
		h('h2', {}, gone ? 'The server cannot be reached' : forbidden ? 'Not for this role' : 'This could not be loaded'),
		h('p', {}, gone ? 'The page goes on by itself when the server is back.'
			: forbidden ? `${error.message} The gateway's role has no rights on this; see docs/http.md.` : error.message),
		error.hint ? h('p', { class: 'small' }, error.hint) : null,
		again ? h('button', { type: 'button', onclick: again }, icon('refresh'), 'Try again') : null);
}

export const bones = () => h('div', { class: 'bones', role: 'status' }, h('span', { class: 'hide' }, 'Loading'), h('i'), h('i'), h('i'), h('i'), h('i'));

export function empty(iconName, title, ...text) {
	return h('div', { class: 'empty' }, icon(iconName), h('h2', {}, title), ...text.map(t => typeof t === 'string' ? h('p', {}, t) : t));
}

/* --- dialogs -------------------------------------------------------------------------------------------------------- */

/**
 * A modal dialog with a form.  content(close) makes what is in it; submit(event) does the work and may throw, then the
 * dialog stays and says why.  The focus returns to where it was.
 */
export function dialog({ title, content, buttons, submit }) {
	const before = document.activeElement;
	const problem = h('p', { class: 'note bad', role: 'alert', hidden: true });
	const box = h('dialog', { 'aria-labelledby': 'dialog-title', onclose: () => { box.remove(); before?.focus?.(); } });
	const close = () => box.close();
	const form = h('form', {
		method: 'dialog', onsubmit: async event => {
			event.preventDefault();
			const pressed = event.submitter;
			try {
				if (pressed)
					pressed.disabled = true;
				problem.hidden = true;
				await submit?.(event);
				close();
			} catch (error) {
				problem.textContent = error.hint ? `${error.message} ${error.hint}` : error.message;
				problem.hidden = false;
			} finally {
				if (pressed)
					pressed.disabled = false;
			}
		}
	}, h('h2', { id: 'dialog-title' }, title), content(close), problem,
		h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: close }, submit ? 'Cancel' : 'Close'), buttons ?? null));
	box.append(form);
	document.body.append(box);
	box.showModal();
	return box;
}

let asking = false;

function askForCredentials() {
	if (asking)
		return;
	asking = true;
	const key = h('input', { type: 'password', autocomplete: 'off', name: 'key' });
	const token = h('textarea', { name: 'token', spellcheck: 'false' });
	dialog({
		title: 'The server asks who you are',
		content: () => [h('p', { class: 'soft' }, 'It was started with --key or --require-token. What you enter stays in this tab.'),
			h('label', { class: 'field' }, 'Key', key), h('label', { class: 'field' }, 'Token (JWT)', token)],
		buttons: h('button', { class: 'primary', type: 'submit' }, 'Go on'),
		submit: async () => {
			credentials(key.value, token.value.trim());
			await get('/api/v1/about').catch(error => { if (error.status === 401) throw error; });
			location.reload();
		}
	}).addEventListener('close', () => { asking = false; });
}

/* --- keys ----------------------------------------------------------------------------------------------------------- */

function keys() {
	let before = '';
	let reset = null;
	document.addEventListener('keydown', event => {
		if (event.key === 'Escape' && event.target.matches?.('input, textarea, select') && !event.target.closest('dialog')) {
			event.target.blur();
			return;
		}
		if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('input, textarea, select, dialog'))
			return;
		if (before === 'g') {
			const page = PAGES.find(([, , key]) => key === event.key);
			before = '';
			if (page) {
				event.preventDefault();
				location.href = page[0];
			}
		} else if (event.key === 'g') {
			before = 'g';
			clearTimeout(reset);
			reset = setTimeout(() => { before = ''; }, 1500);
		} else if (event.key === '/') {
			const field = [...document.querySelectorAll('[data-search]')].find(f => f.offsetParent !== null);
			if (field) {
				event.preventDefault();
				field.focus();
				field.select();
			}
		} else if (event.key === '?') {
			event.preventDefault();
			find('[aria-label="Keyboard shortcuts"]').click();
		}
	});
}

function showShortcuts(extra) {
	dialog({
		title: 'Keyboard shortcuts',
		content: () => h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Keys'), h('th', { scope: 'col' }, 'What they do'))),
			h('tbody', {}, [...SHORTCUTS, ...extra].map(([keys, text]) =>
				h('tr', {}, h('td', { class: 'nowrap' }, keys.split(' ').map((key, i) => [i ? ' ' : null, h('kbd', {}, key)])), h('td', {}, text)))))
	});
}

/* --- small things --------------------------------------------------------------------------------------------------- */

export async function copy(text, what = 'Copied.') {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		// Without a secure context there is no clipboard but this one.
		const area = h('textarea', { value: text, class: 'hide' });
		(find('dialog[open]') ?? document.body).append(area);
		area.select();
		document.execCommand('copy');
		area.remove();
	}
	toast(what);
}
