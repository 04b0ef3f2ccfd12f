/*
 * words.h - what people type: lists of names, and finding what is meant.
 */
#ifndef CLIENTS_WORDS_H
#define CLIENTS_WORDS_H

#include <stdbool.h>
#include <stdio.h>

typedef struct Names
{
	int			n;
	char	  **name;
} Names;

/* "A, B,C" -> three names.  NULL and "" have none. */
extern Names names_split(const char *commas);
extern void names_add(Names *names, const char *name);
extern void names_append(Names *names, const char *commas);
extern void names_free(Names *names);

/* "A, B and C"; the caller frees it.  None: the given word. */
extern char *names_sentence(const Names *names, const char *none);

typedef enum Match
{
	MATCH_NONE,
	MATCH_ONE,
	MATCH_SEVERAL
} Match;

/*
 * Finds the name that the input denotes: the whole name, else the beginnings of some of its words
 * in their order ("gib mino"), else any part of it, without regard to case. MATCH_ONE sets *index.
 */
extern Match names_match(const Names *names, const char *typed, int *index);

/* Takes the first word off the text: returns it, *rest is what follows, both without blanks at their ends; "" if there is none. */
extern char *words_first(char *text, char **rest);

/* Skips "the", "a", "an" and "some" before another word. */
extern const char *words_skip_article(const char *text);

/*
 * Splits "X with Y" at the word "with", or, if it does not occur, at a beginning
 * of it ("w").  False: there is none, and *weapon is NULL.
 */
extern bool words_split_with(char *text, char **target, char **weapon);

/* The input for a message: a long text is cut and ends in "..."; the caller frees it. */
extern char *words_clip(const char *typed);

/* Is typed a beginning of word, never minding case?  "" is not. */
extern bool words_is_prefix(const char *typed, const char *word);

#endif
