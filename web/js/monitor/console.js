/* console.js - /console: the narrator, as it comes. */
import { find, h, put } from '../dom.js';
import { connection, events, get, url } from '../http.js';
import { timeOfDay } from '../format.js';
import { empty, failure, shell } from '../shell.js';

const MOST = 1000;

shell();
const main = find('#main');
const live = h('span', { class: 'tag' }, 'live');
const stay = h('input', { type: 'checkbox', checked: true });
const place = h('div', { class: 'card' });
const list = h('ol');
const log = h('div', { class: 'lines', role: 'log', 'aria-live': 'polite', 'aria-label': 'Lines of the console, new ones last', tabindex: '0' }, list);
const seen = new Set();

put(main, h('div', { class: 'page-head' }, h('div', { class: 'grow' }, h('h1', {}, 'Console'), h('p', { class: 'soft' }, 'What the narrator of the game tells, of all players.')), live,
	h('label', { class: 'small' }, stay, ' Follow the end')), place);

function add(line) {
	if (line.message === undefined || seen.has(line.id))
		return;
	seen.add(line.id);
	if (!list.isConnected)
		put(place, log);
	const element = h('li', { data: { id: line.id } }, h('time', { datetime: line.created }, timeOfDay(new Date(line.created))),
		h('b', { class: 'clip' }, line.player ?? ''), h('span', {}, line.message));
	let before = list.lastElementChild;
	while (before && Number(before.dataset.id) > line.id)
		before = before.previousElementSibling;
	if (before)
		before.after(element);
	else
		list.prepend(element);
	while (list.children.length > MOST)
		list.firstElementChild.remove();
	if (stay.checked)
		log.scrollTop = log.scrollHeight;
}

function begin() {
	get('/api/Console').then(({ lines }) => {
		if (lines.length === 0)
			put(place, empty('list', 'Nothing has been told yet', 'Begin a game, and this page tells about it.', h('a', { class: 'button', href: '/play?new' }, 'Play')));
		lines.forEach(add);
		events('/events', { after: lines.at(-1)?.id ?? null }, add, last => get(url('/api/Console', { after: last ?? 0 })).then(answer => answer.lines));
	}, error => put(place, error.status === 404 ? empty('door', 'The game is not installed here', 'CREATE EXTENSION durable_dungeon; see docs/game.md.') : failure(error, begin)));
}
begin();
connection.addEventListener('down', () => { live.textContent = 'waiting for the server'; });
connection.addEventListener('up', () => { live.textContent = 'live'; });
