/*
 * page.js - the page of the game: the gate where a game is begun or chosen, then the game.
 *
 * /play                 the last game of this browser, or the gate
 * /play?new             the gate
 * /play?name=NAME       that game
 * /play?watch=NAME      that game, without the buttons
 */
import { find } from '../dom.js';
import { shell } from '../shell.js';
import { gate } from './gate.js';
import { game } from './game.js';

shell({ extra: [['1 to 9', 'Do what the button of that number says'], ['c', 'Show or hide all code']] });

const asked = new URLSearchParams(location.search);
const watch = asked.get('watch');
const name = asked.get('name') ?? (asked.has('new') ? null : remembered());

if (watch !== null)
	play(watch, true);
else if (name)
	play(name, false);
else
	gate(chosen => {
		remember(chosen);
		history.pushState(null, '', `/play?name=${encodeURIComponent(chosen)}`);
		play(chosen, false);
	});

window.addEventListener('popstate', () => location.reload());

function play(player, watching) {
	find('#gate').hidden = true;
	find('#game').hidden = false;
	if (!watching)
		remember(player);
	game(player, watching);
}

function remembered() {
	try { return sessionStorage.getItem('durable.player'); } catch { return null; }
}

function remember(player) {
	try { sessionStorage.setItem('durable.player', player); } catch { /* storage is off */ }
}
