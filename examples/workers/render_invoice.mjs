#!/usr/bin/env node
// Renders an invoice. The input is JSON on standard input, the result JSON on standard output.
import { readFileSync, writeFileSync } from 'node:fs';

const { customer, cents } = JSON.parse(readFileSync(0, 'utf8'));
const text = `Dear ${customer}, you have paid ${(cents / 100).toFixed(2)}.`;

writeFileSync(1, JSON.stringify({ text }));
