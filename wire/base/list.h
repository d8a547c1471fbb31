/* An intrusive doubly linked list. A node is in at most one list; a node that is in none is linked
 * to itself once list_node_init() ran, or zeroed. */
#ifndef MESH_BASE_LIST_H
#define MESH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/base/ensure.h"

struct list {
    struct list *prev;
    struct list *next;
};

/* For the head and for nodes alike. */
static inline void list_init(struct list *head)
{
    head->prev = head;
    head->next = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *node)
{
    return node->next != NULL && node->next != node;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
    ensure(!list_is_linked(node));
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

/* A node that is in no list stays so. */
static inline void list_remove(struct list *node)
{
    if (node->next != NULL) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
    }
    list_init(node);
}

/* The first node, or NULL. */
static inline struct list *list_first(const struct list *head)
{
    return list_is_empty(head) ? NULL : head->next;
}

#define LIST_ENTRY(ptr, type, member) CONTAINER_OF(ptr, type, member)

/* `it` is a struct list *; the body may not remove it. */
#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)

/* The body may remove and free `it`, and nothing else. */
#define list_for_each_safe(it, head)                                                               \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

#endif
