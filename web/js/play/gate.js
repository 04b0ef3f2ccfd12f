/*
 * gate.js - before the game: a name, and the games of others.
 */
import { find, h, put, statusBadge, svg } from '../dom.js';
import { get, poll, post } from '../http.js';
import { at } from '../format.js';
import { empty, failure } from '../shell.js';

export function gate(begun) {
	const form = find('#new-game');
	const field = find('#name');
	const problem = find('#name-problem');
	find('#gate').hidden = false;
	put(find('.gate-art'), art());

	const list = poll(showGames, 4000);
	form.addEventListener('submit', async event => {
		event.preventDefault();
		const button = find('button', form);
		button.disabled = true;
		problem.hidden = true;
		try {
			await post('/api/NewUser', { name: field.value });
			list.stop();
			begun(field.value);
		} catch (error) {
			problem.textContent = error.message;
			problem.hidden = false;
			field.focus();
		} finally {
			button.disabled = false;
		}
	});
	field.focus();
}

async function showGames() {
	const place = find('#games');
	try {
		const { players } = await get('/api/Players');
		const text = JSON.stringify(players);
		if (place.dataset.shown === text)
			return;
		place.dataset.shown = text;
		if (players.length === 0)
			put(place, empty('door', 'Nobody is here yet', 'The first game is yours.'));
		else
			put(place, h('ol', { class: 'games', tabindex: '0', 'aria-label': 'Games' }, players.map(p => h('li', {}, h('a', { href: `/play?watch=${encodeURIComponent(p.name)}` },
				h('span', { class: 'clip' }, p.name), h('time', { class: 'soft small', datetime: p.begun }, at(p.begun)),
				stateOf(p))))));
	} catch (error) {
		delete place.dataset.shown;
		put(place, error.status === 404 ? empty('door', 'The game is not installed here', 'CREATE EXTENSION durable_dungeon, and durable.mount_http; see docs/game.md.') : failure(error));
	}
}

/** The badge of a game's hero. */
function stateOf({ isAlive, hasWon }) {
	if (hasWon)
		return statusBadge('Completed', 'won');
	if (isAlive === null)
		return statusBadge('Pending', 'new');
	return isAlive ? statusBadge('Running', 'alive') : statusBadge('Failed', 'dead');
}

/** An arch with stairs and two torches. */
function art() {
	const light = (cx, cy, r) => svg('circle', { cx, cy, r, fill: '#ffb45e', opacity: 0.18 });
	const flame = (x, y) => [light(x, y, 46), light(x, y, 26), svg('path', { d: `M${x} ${y - 16}c9 10 9 16 0 24c-9-8-9-14 0-24z`, fill: '#ffcf7d' }), svg('path', { d: `M${x - 3} ${y + 8}h6l-1 26h-4z`, fill: '#0f0a07' })];
	return svg('svg', { viewBox: '0 0 400 320', preserveAspectRatio: 'xMidYMid slice' },
		svg('path', { d: 'M110 320V170a90 90 0 0 1 180 0V320z', fill: '#0f0a07' }),
		svg('path', { d: 'M98 320V170a102 102 0 0 1 204 0V320', fill: 'none', stroke: '#0f0a07', 'stroke-width': 10, 'stroke-dasharray': '26 4' }),
		[0, 1, 2, 3, 4].map(i => svg('path', { d: `M${124 + i * 9} ${316 - i * 22}h${152 - i * 18}v22h-${152 - i * 18}z`, fill: `rgb(${66 - i * 11} ${38 - i * 6} ${24 - i * 4})` })),
		svg('circle', { cx: 184, cy: 182, r: 4, fill: '#ffcf7d' }), svg('circle', { cx: 216, cy: 182, r: 4, fill: '#ffcf7d' }),
		flame(60, 176), flame(340, 176));
}
