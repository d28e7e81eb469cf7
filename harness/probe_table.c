#include "probe_table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <stdio.h>

enum column {
    FOUND,
    NOT_FOUND,
    UNTOLD,
    COLUMNS
};

static const char *const titles[COLUMNS] = {"FOUND", "NOT FOUND", "COULD NOT BE TOLD"};

/* @return COLUMNS for one that is in none: it was not asked for to the end */
static enum column column_of(const struct transfer_result *result)
{
    switch ((enum transfer_status)result->status) {
    case TRANSFER_OK:
        return FOUND;
    case TRANSFER_NOT_FOUND:
        return NOT_FOUND;
    case TRANSFER_CANCELLED:
        return COLUMNS;
    default:
        return UNTOLD;
    }
}

static struct libscols_table *table_new(bool with_untold)
{
    struct libscols_table *table = scols_new_table();

    for (size_t i = 0; table != NULL && i < (with_untold ? COLUMNS : UNTOLD); i++) {
        if (scols_table_new_column(table, titles[i], 0, 0) == NULL) {
            scols_unref_table(table);
            return NULL;
        }
    }
    if (table != NULL) {
        (void)scols_table_set_column_separator(table, "  ");
    }
    return table;
}

/* The cell that is next free in the column. @return 0 or -ENOMEM */
static int put(struct libscols_table *table, enum column column, size_t row, const char *name,
               const char *reason)
{
    struct libscols_line *line = scols_table_get_line(table, row);
    char *text = NULL;

    if (line == NULL) {
        line = scols_table_new_line(table, NULL);
    }
    if (line == NULL || asprintf(&text, reason == NULL ? "%s" : "%s (%s)", name, reason) < 0) {
        return -ENOMEM;
    }
    return scols_line_refer_data(line, column, text); /* the table's now */
}

int probe_table_print(char *const names[], const struct transfer_result results[], size_t count)
{
    size_t used[COLUMNS] = {0};
    bool with_untold = false;
    int error = 0;

    for (size_t i = 0; i < count; i++) {
        with_untold = with_untold || column_of(&results[i]) == UNTOLD;
    }
    struct libscols_table *table = table_new(with_untold);
    if (table == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count && error == 0; i++) {
        enum column column = column_of(&results[i]);
        if (column != COLUMNS) {
            error = put(table, column, used[column]++, names[i],
                        column == UNTOLD ? results[i].message : NULL);
        }
    }
    if (error == 0) {
        error = scols_print_table(table);
    }
    scols_unref_table(table);
    return error;
}
