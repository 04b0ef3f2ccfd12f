/*
 * words.c - lists of names, partial names, and the few forms of a sentence.
 *
 * Pure: takes text and returns text.  Case is ignored for ASCII letters only;
 * the game's own words have no others.
 *
 * Called by: commands.c, terminal.c (completion), auto.c.
 * Memory: lists and sentences belong to the caller; the splitting functions
 * cut up the caller's text in place.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "words.h"

#define CLIPPED			60		/* characters */

static bool words_begin(const char *typed, const char *name);
static char *trim(char *text);
static bool is_blank(char c);

Names
names_split(const char *commas)
{
	Names		names = {0, NULL};

	names_append(&names, commas);
	return names;
}

void
names_append(Names *names, const char *commas)
{
	char	   *copy;
	char	   *rest;

	if (commas == NULL)
		return;
	copy = strdup(commas);
	for (char *name = strtok_r(copy, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest))
	{
		name = trim(name);
		if (name[0] != '\0')
			names_add(names, name);
	}
	free(copy);
}

void
names_add(Names *names, const char *name)
{
	names->name = realloc(names->name, (names->n + 1) * sizeof(char *));
	if (names->name == NULL)
		abort();
	names->name[names->n++] = strdup(name);
}

void
names_free(Names *names)
{
	for (int i = 0; i < names->n; i++)
		free(names->name[i]);
	free(names->name);
	names->n = 0;
	names->name = NULL;
}

char *
names_sentence(const Names *names, const char *none)
{
	char	   *sentence = NULL;
	size_t		size;
	FILE	   *out;

	if (names->n == 0)
		return strdup(none);
	out = open_memstream(&sentence, &size);
	if (out == NULL)
		abort();
	for (int i = 0; i < names->n; i++)
		fprintf(out, "%s%s", i == 0 ? "" : i + 1 < names->n ? ", " : " and ", names->name[i]);
	fclose(out);
	return sentence;
}

Match
names_match(const Names *names, const char *typed, int *index)
{
	typed = words_skip_article(typed);
	if (typed[0] == '\0')
		return MATCH_NONE;

	/* The first kind of likeness that fits any name decides. */
	for (int kind = 0; kind < 3; kind++)
	{
		int			found = 0;

		for (int i = 0; i < names->n; i++)
		{
			const char *name = names->name[i];
			bool		fits = kind == 0 ? strcasecmp(typed, name) == 0 :
				kind == 1 ? words_begin(typed, name) :
				strcasestr(name, typed) != NULL;

			/* Two things of one name are one answer. */
			if (fits && (found == 0 || strcmp(name, names->name[*index]) != 0))
			{
				*index = i;
				found++;
			}
		}
		if (found > 0)
			return found == 1 ? MATCH_ONE : MATCH_SEVERAL;
	}
	return MATCH_NONE;
}

/* Does every typed word begin some word of the name, in the same order? */
static bool
words_begin(const char *typed, const char *name)
{
	while (*typed != '\0')
	{
		size_t		length = strcspn(typed, " \t");

		while (*name != '\0' && strncasecmp(typed, name, length) != 0)
		{
			name += strcspn(name, " ");
			name += strspn(name, " ");
		}
		if (*name == '\0')
			return false;
		name += strcspn(name, " ");
		name += strspn(name, " ");
		typed += length;
		typed += strspn(typed, " \t");
	}
	return true;
}

/* Cuts blanks off both ends, in place. */
static char *
trim(char *text)
{
	size_t		length;

	while (is_blank(*text))
		text++;
	length = strlen(text);
	while (length > 0 && is_blank(text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

char *
words_first(char *text, char **rest)
{
	char	   *end;

	text = trim(text);
	end = text;
	while (*end != '\0' && !is_blank(*end))
		end++;
	if (*end != '\0')
		*end++ = '\0';
	*rest = trim(end);
	return text;
}

const char *
words_skip_article(const char *text)
{
	static const char *const articles[] = {"the", "a", "an", "some"};

	for (size_t i = 0; i < sizeof(articles) / sizeof(articles[0]); i++)
	{
		size_t		length = strlen(articles[i]);

		if (strncasecmp(text, articles[i], length) == 0 && is_blank(text[length]))
		{
			const char *rest = text + length;

			while (is_blank(*rest))
				rest++;
			return *rest != '\0' ? rest : text;
		}
	}
	return text;
}

bool
words_split_with(char *text, char **target, char **weapon)
{
	/* The whole word first: "kill w with w" has to work. */
	for (int shortest = 4; shortest >= 1; shortest -= 3)
	{
		for (char *at = text; *at != '\0'; at++)
		{
			size_t		length;

			/* Only at the beginning of a word, or a long one is measured from each of its letters. */
			if (at == text || !is_blank(at[-1]))
				continue;
			length = strcspn(at, " \t");
			if (length >= (size_t) shortest && length <= 4 &&
				strncasecmp(at, "with", length) == 0)
			{
				*weapon = trim(at + length);
				at[-1] = '\0';
				*target = trim(text);
				return true;
			}
		}
	}
	*target = trim(text);
	*weapon = NULL;
	return false;
}

char *
words_clip(const char *typed)
{
	const char *end = typed;
	char	   *clipped;

	for (int characters = 0; *end != '\0' && characters < CLIPPED; characters++)
	{
		end++;
		while ((*end & 0xc0) == 0x80)
			end++;
	}
	if (asprintf(&clipped, "%.*s%s", (int) (end - typed), typed, *end != '\0' ? "..." : "") < 0)
		abort();
	return clipped;
}

bool
words_is_prefix(const char *typed, const char *word)
{
	size_t		length = strlen(typed);

	return length > 0 && strncasecmp(typed, word, length) == 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
