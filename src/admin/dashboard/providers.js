/*
 * providers: whether each may be asked now, how much of his day is used, and how he answers.
 */
import { el, fmt } from './dom.js';
import { badge, bold, facts, muted, page, para, prose, tags, when, who, words } from './panels.js';

const { int } = fmt;
function standing(p) {
	return p.usable ? badge('good', 'usable') : !p.enabled ? badge('quiet', 'switched off') :
		p.closed_until ? badge('warn', 'closed for now') : badge('bad', 'not usable');
}

function circuit(p, now) {
	return p.circuit === 'closed' ? 'closed' : p.circuit === 'half_open' ? 'half open' :
		['open', p.closed_until ? [' until ', when(p.closed_until, now)] : null];
}

/* How much of the safe limit is gone; nothing where there is none. */
function quota({ name, quota: q }, now) {
	const most = q?.safety_limit;
	return most ? el('div', {}, el('meter', { max: most, low: most / 2, high: most * 0.8, optimum: 0,
		value: Math.min(q.used, most), 'aria-label': `${who(name)}: quota used` }),
	para(bold(`${int(q.used)} of ${int(most)} units`), ` (${fmt.pct(q.percentage_used)}), resets `,
		when(q.reset_at, now))) : null;
}

function card(p, now) {
	const t = p.today ?? {}, l = p.latency_ms;
	return el('li', { class: 'panel', dataset: { test: `provider-${p.name}`, usable: String(p.usable) } },
		el('div', { class: 'v-head' }, el('h2', { text: who(p.name) }), standing(p)),
		p.usable || !p.reason ? null : para(prose(p.reason, 300)), quota(p, now),
		facts([['Requests today', int(t.requests)],
			['Errors today', t.errors > 0 ? badge('bad', int(t.errors)) : '0'],
			['Units today', int(t.units)],
			p.kind === 'ai' ? ['Tokens in / out', `${int(t.tokens_in)} / ${int(t.tokens_out)}`] : null,
			['Cost today', fmt.usd(t.cost_usd)],
			['Latency p50 / p95', l && `${fmt.ms(l.p50)} / ${fmt.ms(l.p95)}`],
			['Under way', `${int(p.in_flight)} of ${int(p.concurrency)}`],
			['Waiting', int(p.waiting)],
			['Rate', `${+Number(p.rate_per_s).toFixed(2)} /s`],
			['Circuit', circuit(p, now)],
			['Outcomes', tags(Object.entries(p.outcomes ?? {}).sort((a, b) => b[1] - a[1]).map(([name, n]) =>
				`${words(name)} ${int(n)}`))]],
		'v-pairs'));
}

export function open(ctx) {
	return page(ctx, 'Providers', { paint: o => [
		muted('“Today” is the provider’s own day, over all instances; latency and outcomes are this instance’s.'),
		el('ul', { class: 'v-cards' }, o.providers.map(p => card(p, o.now)))] });
}
