/*
 * scene.js - where the player is, and what can be done there: the buttons do what the commands do.
 */
import { find, h, icon, mark, put, say, svg } from '../dom.js';
import { clock, compute, duration, plural } from '../format.js';
import { bones } from '../shell.js';

const ROUND = 2 * Math.PI * 54;

export function makeScene(place, { act, name, watching }) {
	let shown = '';
	let patience = 120000;
	let ring = null;
	let wantsFocus = false;

	put(place, bones());

	function draw(state) {
		const { status, phase } = state;
		const key = JSON.stringify([phase, status, phase === 'won' || phase === 'dead' ? state.flows.map(f => [f.turns, f.ended]) : null]);
		if (key === shown)
			return;
		shown = key;
		const had = place.contains(document.activeElement) ? document.activeElement.dataset.act ?? '' : null;
		ring = null;
		put(place, parts(state));
		// The button that had the focus may be gone: then the next one gets it, which may come later.
		wantsFocus ||= had !== null;
		const next = had ? find(`[data-act="${CSS.escape(had)}"]`, place) ?? find('button, a', place) : find('button, a', place);
		if (wantsFocus && next && (document.activeElement === document.body || document.activeElement === null)) {
			next.focus({ preventScroll: true });
			wantsFocus = false;
		}
	}

	function parts(state) {
		const { status, phase } = state;
		switch (phase) {
			case 'unknown':
				return h('div', { class: 'end' }, h('h2', {}, icon('eye'), 'Nobody of that name is here'),
					h('p', {}, `There is no game of "${name}" on this server.`), h('a', { class: 'button primary', href: '/play?new' }, 'Begin a game'));
			case 'gate': return gate(status);
			case 'won': return over(state, true);
			case 'dead': return over(state, false);
			case 'room': return room(status);
			default:
				return [h('div', { class: 'scene-head' }, h('h2', {}, phase === 'entering' ? 'Down the ladder' : 'The masons are at work'),
					h('p', {}, phase === 'entering' ? 'Player, weapon, monster and treasure are put into their places, one after the other.'
						: 'Player, monster, room and things are made side by side. This takes some milliseconds.'))];
		}
	}

	function gate(status) {
		ring = h('b');
		const left = svg('circle', { class: 'left', cx: 60, cy: 60, r: 54, 'stroke-dasharray': ROUND });
		return [
			h('div', { class: 'scene-head' }, h('h2', {}, 'At the gate'),
				h('p', {}, 'The gatekeeper has turned an hourglass. Call out before it has run down, or the trapdoor opens.')),
			h('div', { class: 'scene-body' },
				h('div', { class: 'hourglass' },
					h('div', { class: 'ring', role: 'timer', 'aria-label': 'Time left to confirm' },
						svg('svg', { viewBox: '0 0 120 120', 'aria-hidden': 'true' }, svg('circle', { class: 'back', cx: 60, cy: 60, r: 54 }), left), ring),
					h('div', {},
						watching ? null : h('div', { class: 'acts' }, button({ verb: 'confirm' }, 'door', 'Let me in!', true)),
						h('p', { class: 'soft small' }, 'A workflow waits for your event or for its timer, whichever is first. The timer is a row with a time; it fires even if the server was down meanwhile.'))),
				status ? h('p', { class: 'soft small' }, `Down there: the ${status.monster?.name}, and ${list(status.inventory.map(i => `one ${i.name}`))}.`) : null)
		];
	}

	function room(status) {
		const carried = split(status.user.inventoryItems);
		const here = status.inventory.filter(i => i.room && !carried.includes(i.name));
		const weapons = status.inventory.filter(i => !i.isTreasure && carried.includes(i.name));
		const { monster } = status;
		const fights = monster?.isAlive && monster.currentRoom;
		const actions = [
			...here.map(i => button({ verb: 'get', target: i.name }, 'hand', `Get the ${i.name}`, true)),
			...(fights ? weapons.map(w => button({ verb: 'kill', target: monster.name, weapon: w.name }, 'sword', `Kill the ${monster.name} with the ${w.name}`, true)) : [])
		];
		return [
			h('div', { class: 'scene-head' }, h('h2', {}, status.room?.name ?? 'Somewhere'), h('p', {}, status.room?.description ?? '')),
			h('div', { class: 'scene-body' },
				h('ul', { class: 'things', 'aria-label': 'What is here' },
					monster?.currentRoom ? h('li', { class: monster.isAlive ? 'thing' : 'thing slain' }, icon(monster.isAlive ? 'eye' : 'skull'), h('b', {}, monster.name),
						h('span', {}, monster.isAlive ? monster.inventoryItems ? `alive, guards the ${monster.inventoryItems}` : 'alive' : 'slain')) : null,
					status.inventory.map(i => h('li', { class: 'thing' }, icon(i.isTreasure ? 'gem' : 'sword'), h('b', {}, i.name),
						h('span', {}, carried.includes(i.name) ? 'you carry it' : i.monster ? `${i.isTreasure ? 'treasure, ' : ''}the monster has it` : i.room ? `${i.isTreasure ? 'treasure' : 'weapon'}, lies here` : 'not here yet')))),
				watching ? null : h('div', { class: 'acts' }, actions),
				!watching && fights && weapons.length === 0 ? h('p', { class: 'soft small' }, `The ${monster.name} cannot be killed with bare hands.`) : null)
		];
	}

	function over(state, won) {
		const total = state.flows.reduce((sum, f) => sum + (f.computeMs ?? 0), 0);
		const turns = state.flows.reduce((sum, f) => sum + (f.turns ?? 0), 0);
		const first = state.flows[0];
		const last = state.flows.find(f => f.workflow === (won ? 'GameMonitorWorkflow' : 'UserConfirmationWorkflow'));
		const time = first?.created && last?.ended ? Date.parse(last.ended) - Date.parse(first.created) : null;
		return h('div', { class: `end ${won ? 'won' : 'dead'}` },
			h('h2', {}, icon(won ? 'trophy' : 'skull'), won ? `${name} has won!` : `${name} is dead`),
			h('p', {}, won ? 'The monster is slain, the treasure is taken. Somewhere a band begins to play.'
				: 'The hourglass had run down, and the gatekeeper pulled the lever. The workflow has caught its own time-out: no process had to stay awake for it.'),
			h('div', { class: 'sum' },
				time === null ? null : h('div', {}, h('b', {}, duration(time)), h('span', {}, 'of play')),
				h('div', {}, h('b', {}, compute(total)), h('span', {}, 'of computing')),
				h('div', {}, h('b', {}, String(turns)), h('span', {}, 'turns'))),
			h('div', { class: 'acts' }, h('a', { class: 'button primary', href: '/play?new' }, watching ? 'Play yourself' : 'Play again')));
	}

	function button(action, iconName, words, primary) {
		return h('button', { class: primary ? 'primary' : null, type: 'button', data: { act: JSON.stringify(action) }, onclick: () => act(action) }, icon(iconName), words);
	}

	function tick(state, now) {
		if (!ring)
			return;
		const flow = state.flows.find(f => f.workflow === 'UserConfirmationWorkflow');
		const timer = flow?.waits.find(w => w.kind === 'timer');
		if (!timer)
			return;
		patience = Math.max(1, Date.parse(timer.due) - Date.parse(timer.since));
		const left = Math.max(0, Date.parse(timer.due) - now);
		say(ring, clock(left));
		const circle = find('.left', place);
		circle.style.strokeDashoffset = String(ROUND * (1 - left / patience));
		mark(ring.parentElement, 'class', left < 20000 ? 'ring late' : 'ring');
	}

	/** The room in words, for those who type. */
	function words({ status, phase, flows }) {
		if (phase === 'gate')
			return 'You are at the gate. The gatekeeper waits for you to confirm.';
		if (!status?.user.currentRoom)
			return `You are nowhere yet. ${plural(flows.filter(f => f.status === 'Running').length, 'workflow')} run.`;
		const things = split(status.room?.inventoryItems);
		return [`${status.room.name}: ${status.room.description}`,
			things.length ? `Here lies: ${list(things)}.` : 'Nothing lies here.',
			status.monster?.currentRoom ? `The ${status.monster.name} is ${status.monster.isAlive ? 'alive' : 'dead'}.` : '',
			status.user.inventoryItems ? `You carry: ${status.user.inventoryItems}.` : 'You carry nothing.'].join(' ');
	}

	let latest = null;
	return {
		draw(state) { latest = state; draw(state); },
		tick, words,
		names: () => latest?.status ? [latest.status.monster?.name, ...latest.status.inventory.map(i => i.name)].filter(Boolean) : [],
		press(n) { place.querySelectorAll('.acts button')[n - 1]?.click(); }
	};
}

const split = text => String(text ?? '').split(',').map(t => t.trim()).filter(Boolean);
const list = words => words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
